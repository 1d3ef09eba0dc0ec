"""Each source's own scaling policy, where several sources are joined: photographs by their type, spectra by statistics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from multimodal_lab.data.source import DataError, Source
from multimodal_lab.data.streams.scaling import Scaling
from multimodal_lab.text import expected_one_of
from multimodal_lab.types import Stream


class OwnScaling:
    """A policy of `scaling` for each source: that which a stream's `field` names, or else its own name, or which alone has
    a field of that name.

    policies: {source: policy}; of those that are not given, what the data sets of the joined source say themselves.
    """

    choice = "own"

    def __init__(self, policies: dict[str, Scaling] | None = None) -> None:
        self.policies = policies or {}

    def filled(self, source: Source) -> OwnScaling:
        """The same with the policies that the `members` of a source came with, where none is set here."""
        members = getattr(source, "members", {})
        own = {name: member.scaling for name, member in members.items() if member.scaling}
        made = {**own, **self.policies}
        return OwnScaling({field: made[name] for field, name in _alone(source).items() if name in made} | made)

    def of(self, stream: Stream) -> Scaling:
        """The policy of a stream; `DataError` where there is none."""
        if (name := _named(self.policies, stream.field, stream.name)) is not None:
            return self.policies[name]
        near = expected_one_of(stream.field or stream.name, [*self.policies])
        raise DataError(f"data.scaling.policies: none for stream {stream.name}; {near}")


def spelt_out(node: Mapping[str, Any], described: Mapping[str, Any]) -> dict[str, Any]:
    """The scaling of a plain `data` node, with each source's own by all its names, for where these sources are not.

    described: what `fitted_cache.described` told of it where they were: that of each source, and of each field of its alone.
    """
    scaling = dict(node["scaling"])
    if "policies" in scaling:
        sources = node["source"].get("sources") or {}
        own = {name: one["scaling"] for name, one in sources.items() if "scaling" in one}
        own |= scaling["policies"] or {}
        alike = {name: next((s for s in own if described.get(s) == facts), None) for name, facts in described.items()}
        scaling["policies"] = {name: own[source] for name, source in alike.items() if source is not None} | own
    return scaling


def of_stream(described: Mapping[str, Any], name: str, facts: Mapping[str, Any]) -> Mapping[str, Any]:
    """What `fitted_cache.described` tells of the policy of one stream, by its entry of a modality."""
    if described.get("policy") != OwnScaling.__name__:
        return described
    found = _named(described, str(facts.get("field") or ""), name)
    return described if found is None else described[found]


def _alone(source: Source) -> dict[str, str]:
    """{field: the source that alone has one of that name} of a source made of others."""
    members = getattr(source, "members", {})
    fields = [(field, name) for name, member in members.items() for field in member.fields]
    count = Counter(field for field, _ in fields)
    return {field: name for field, name in fields if field and count[field] == 1 and field not in members}


def _named(policies: Mapping[str, Any], field: str, stream: str) -> str | None:
    """Which of the policies is that of a stream."""
    return next((name for name in (field.partition(".")[0], field, stream) if name in policies), None)
