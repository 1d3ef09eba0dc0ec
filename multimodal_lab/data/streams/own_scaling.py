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
        fields = [(field, name) for name, member in members.items() for field in member.fields]
        alone = Counter(field for field, _ in fields)
        return OwnScaling({f: made[n] for f, n in fields if n in made and alone[f] == 1 and f not in members} | made)

    def of(self, stream: Stream) -> Scaling:
        """The policy of a stream; `DataError` where there is none."""
        for name in (stream.field.partition(".")[0], stream.field, stream.name):
            if name in self.policies:
                return self.policies[name]
        near = expected_one_of(stream.field or stream.name, [*self.policies])
        raise DataError(f"data.scaling.policies: none for stream {stream.name}; {near}")


def spelt_out(node: Mapping[str, Any]) -> dict[str, Any]:
    """The scaling of a plain `data` node, with each source's own by name, for where these sources are not."""
    scaling = dict(node["scaling"])
    if "policies" in scaling:
        sources = node["source"].get("sources") or {}
        own = {name: one["scaling"] for name, one in sources.items() if "scaling" in one}
        scaling["policies"] = own | (scaling["policies"] or {})
    return scaling
