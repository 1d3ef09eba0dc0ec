"""Audit the data of a study or of one config: every stream of its arms, every split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from multimodal_lab.config.instantiate import safe_instantiate
from multimodal_lab.config.problem import StudyError
from multimodal_lab.config.study import Study
from multimodal_lab.data.audit.audit import audit, repeats
from multimodal_lab.data.readers.fingerprint import fingerprint
from multimodal_lab.data.source import DataError
from multimodal_lab.runs import hashes
from multimodal_lab.stats.answers import Kind


def audit_data(
    study: Study, configs: Mapping[str, Mapping[str, Any]], known: Mapping[str, Any] | None
) -> dict[str, Any]:
    """What `audit.json` holds; `known` as it is where it is of the same data, splits, streams, labels and source.

    configs: {arm: its plain config at the first seed and split}; the data of the first are looked at, with the streams of
    all. `StudyError` where they aren't there or can't be read, `DataError` where they can't be used as they are asked for.
    """
    plain = {**next(iter(configs.values()))["data"], "shuffle": None}
    try:
        factory = safe_instantiate(plain)
        found_data = fingerprint(factory.source, factory.root, factory.fingerprint)
    except DataError as error:
        raise StudyError(f"no cell can be trained: {error}") from error
    of: dict[str, Any] = {
        "data": found_data,
        "config": hashes.config_key({"data": {**plain, "split": {**plain["split"], "seed": None}}}),
        "splits": list(study.splits),
        "streams": streams(configs),
        "labels": list(study.labels),
        "source": hashes.source_hash(),
    }
    if (fitted := _fitted(study, configs)) != "train":
        of["fitted"] = fitted
    if known is not None and known["of"] == of:
        return dict(known)
    # no network looks at them, and a backbone that would tell its mean is not built
    modality = {name: {k: v for k, v in own.items() if k != "normalise"} for name, own in of["streams"].items()}
    data = factory.prepare(modality, 0)
    splits = repeats(factory, data, study.splits) if len(study.splits) > 1 else None
    found = audit(data, splits, labels=study.labels or None, fitted=fitted).record()
    grouped = len(set(data.groups.tolist())) < len(data.groups)
    kinds = {label: _kind(data, label) for label in study.labels if label in data.targets}
    return {"of": of, "grouped": grouped, "kinds": kinds, **found}


def _fitted(study: Study, configs: Mapping[str, Mapping[str, Any]]) -> str:
    """The split that the evaluator which judges learns labels on; `train` where arms differ, or trained heads judge."""
    found = {str((c["evaluate"].get(study.evaluator or "") or {}).get("fit_on", "train")) for c in configs.values()}
    return found.pop() if len(found) == 1 else "train"


def _kind(data: Any, label: str) -> Kind:
    several = data.targets[label].ndim > 1
    return "values" if not data.classes[label] else "labels" if several else "classes"


def streams(configs: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """{name: facts} of all arms; another stream of the same name takes its arm's too."""
    found: dict[str, Any] = {}
    for arm, config in configs.items():
        for name, facts in config["modality"].items():
            same = found.setdefault(name, facts)
            if same != facts:
                found[f"{name}_{arm}"] = facts
    return found
