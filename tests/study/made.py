"""Studies whose cells were never trained: predictions of a known quality, written as a run writes them."""

import json

import numpy as np

from multimodal_lab.config.study import Control, Study, warnings
from multimodal_lab.evaluate import predictions
from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.evaluate.predictions import Predicted
from multimodal_lab.files import file_hash
from multimodal_lab.runs import hashes
from multimodal_lab.study.design import plan
from multimodal_lab.study.design.plan import Cell, StudyPlan

CONTROLS = {
    "shuffled": Control("fused", "shuffled", ["data.shuffle={stream: uv}"]),
    "duplicate": Control("fused", "duplicate", ["modality=rgb_rgb"]),
}
LEVELS = {"rgb": 0.6, "uv": 0.5, "fused": 0.9, "shuffled": 0.6, "duplicate": 0.6}
PER_GROUP = 4
RANDOM = "_random"  # arms whose test part is any half of the samples
SUBSETS = {"fused@rgb": 0.7, "fused@uv": 0.6, "fused": 0.95}


def study(
    folder,
    levels=LEVELS,
    labels=("sex",),
    seeds=(0, 1, 2, 3, 4),
    splits=(0,),
    groups=200,
    controls=CONTROLS,
    skip=(),
    sources=lambda cell: "a",
    classes=("f", "m"),
    retrained=None,
    tested=lambda cell: 0,
    at=lambda cell: None,
    seed_of=lambda cell: cell.seed,
    arms_more=(),
    baselines=("rgb", "uv"),
    more_baselines=(),
    outputs=True,
    **more,
):
    """Write it; levels[arm] is the chance to be right, a function of the true classes to it, or {label: chance}.

    Samples come in groups of 4, half tested."""
    arms = {arm: [f"modality={arm}", *arms_more] for arm in levels if arm not in controls and not arm.endswith(RANDOM)}
    named = Study(
        arms,
        [*baselines, *more_baselines],
        list(labels),
        controls,
        seeds=list(seeds),
        splits=list(splits),
        **more,
    )
    cells = [
        Cell(arm, named.role(arm), s, r, f"{arm}{s}{r}".replace("_", "").ljust(16, "0"), [*arms_more])
        for r in splits
        for s in seeds
        for arm in levels
    ]
    for cell in cells:
        if cell.arm not in skip:
            level = levels[cell.arm] if at(cell) is None else at(cell)
            _cell(
                folder,
                cell,
                level,
                labels,
                groups,
                sources(cell),
                list(classes),
                named,
                tested(cell),
                seed_of(cell),
                outputs,
            )
    plan.write(folder, StudyPlan(named, cells, ["study=made"], warnings(named), retrained=retrained or {}))
    return folder


def _cell(folder, cell, level, labels, groups, source, classes, named, fewer, drawn, kept):
    rows = np.flatnonzero(np.isin(np.arange(groups * PER_GROUP) // PER_GROUP, held_out(groups, cell.split)))
    if cell.role == "leak":
        rows = np.sort(np.random.default_rng([cell.split, 1]).permutation(groups * PER_GROUP)[: len(rows)])
    rows = rows[fewer:]
    own = folder / cell.folder
    own.mkdir(parents=True)
    truths = {label: (rows // (i + 1)) % len(classes) for i, label in enumerate(labels)}
    test = Embeddings(
        {}, {}, {}, dict.fromkeys(labels, classes), [f"s{i:03d}" for i in rows], rows // PER_GROUP,
        np.full(len(rows), "test"),
    )  # fmt: skip
    streams = {cell.arm if cell.arm in named.baselines else "fused": level}
    if cell.arm == named.subsets:
        streams = SUBSETS
    found, seal = [], {}
    for i, label in enumerate(labels):
        for stream, chance in streams.items():
            chance = chance[label] if isinstance(chance, dict) else chance
            chance = chance(truths[label]) if callable(chance) else chance
            draw = np.random.default_rng([drawn, cell.split, i, *map(ord, cell.arm + stream)])
            right = draw.random(len(rows)) < chance
            said = np.where(right, truths[label], (truths[label] + 1) % max(2, len(classes)))
            chances = draw.uniform(0.5, 1, len(rows))  # no two seeds tell the same
            said, outputs = said % len(classes), None  # the probabilities of both classes
            if len(classes) == 2 and kept:
                outputs = np.where(said[:, None] == np.arange(2), chances[:, None], 1 - chances[:, None])
            found.append(
                Predicted("probe", stream, label, np.arange(len(rows)), truths[label], said, chances, right, outputs)
            )
            seal |= {f"probe/{stream}/{label}/n": float(len(rows)), f"probe/{stream}/{label}/accuracy": right.mean()}
        seal |= {f"chance/{label}": 0.5, f"chance_prior/{label}": 0.5}
    predictions.write(own / "predictions.parquet", test, found)
    seal |= {hashes.OF_CONFIG: cell.key, hashes.OF_SOURCE: source, hashes.OF_DATA: "d"}
    seal |= {"data/test": len(rows), "data/train": groups * PER_GROUP - len(rows), "provenance/torch": "2"}
    seal[hashes.OF_PREDICTIONS] = file_hash(own / hashes.PREDICTIONS)
    (own / hashes.SUMMARY).write_text(json.dumps(seal))


def held_out(groups, split):
    return np.random.default_rng(split).permutation(groups)[: groups // 2]
