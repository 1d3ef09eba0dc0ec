"""What an evaluator owes: `made(name, conf)`, then every one of `CHECKS`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from contract import sounding
from contract.owed import CONF, owed
from multimodal_lab.backbone.text import Text
from multimodal_lab.backbone.vector import Vector
from multimodal_lab.config.rules.wiring import scored
from multimodal_lab.data.streams.tokenizer import Tokens
from multimodal_lab.evaluate.call import call
from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.evaluate.said import Said
from multimodal_lab.evaluate.tasks import COUNTS
from multimodal_lab.fusion.separate import Separate
from multimodal_lab.head.projection import Projection
from multimodal_lab.keyed import Keyed
from multimodal_lab.loss.clip import clip
from multimodal_lab.loss.schedule import LearnedScalar
from multimodal_lab.metric.direction import Scored
from multimodal_lab.system import System
from multimodal_lab.types import Band, Batch, Stream

LENGTHS = {"label": {4}, "pair": {3, 4}, "name": {3}}
NAMES = ("rgb", "uv", "fused")
Both = tuple[Embeddings, Embeddings]


@dataclass
class Made:
    """An evaluator: how to build it anew, and what it states."""

    name: str
    build: Callable[[], Callable[..., dict[str, Any]]]
    stated: Scored


def made(name: str, folder: Path = CONF, **changed: Any) -> Made:
    """The evaluator of `folder/evaluate/name.yaml`: one key, its name, with the settings below it, or these instead."""
    config: Any = OmegaConf.to_container(OmegaConf.load(folder / "evaluate" / f"{name}.yaml"))
    owed(
        list(config) == [name],
        f"evaluator {name}: {name}.yaml has {', '.join(config)}; expected one key, {name}, and its settings below it",
    )
    (stated,) = scored({"evaluate": config})
    return Made(name, lambda: instantiate({**config[name], **changed}, _convert_="all"), stated)


def embeddings(n: int = 240, d: int = 16, seed: int = 0) -> Both:
    """Train and test: species is in both streams, sex in uv alone, coin in none; 10 % lack uv, 5 % lack their species.

    Heads tell species, traits and mass, the last with its variance, and of every pixel a class and a number.
    """
    rng = np.random.default_rng(seed)
    species, sex, coin = rng.integers(0, 4, n), rng.integers(0, 2, n), rng.integers(0, 2, n)
    centres = rng.normal(size=(4, d)) * 2
    rgb = centres[species] + rng.normal(size=(n, d))
    uv = centres[species] + np.outer(sex * 4 - 2, np.ones(d)) + rng.normal(size=(n, d))
    seen = rng.random(n) > 0.1
    species = np.where(rng.random(n) < 0.05, -1, species)
    uv[~seen] = 0
    vectors = {"rgb": rgb, "uv": uv, "fused": np.concatenate([rgb, uv], 1)}
    traits = (rgb[:, :3] > 0).astype(np.int64)
    traits[:, 2] = 0
    targets = {"species": species, "sex": sex, "coin": coin, "traits": traits, "mass": rgb[:, 0] * 2 + 1,
               "caption": rng.integers(2, 50, (n, 6))}  # fmt: skip
    whole = np.ones(n, dtype=bool)
    split = np.where(np.arange(n) < n * 2 // 3, "train", "test")
    e = Embeddings({k: v.astype(np.float32) for k, v in vectors.items()}, {"rgb": whole, "uv": seen, "fused": whole},
                   targets, {}, [f"{i}.tif" for i in range(n)], np.arange(n) // 2, split,
                   said=heads(rgb, centres, np.where(seen, uv[:, 0], 0), seen))  # fmt: skip
    return e.select("train"), e.select("test")


def heads(rgb: np.ndarray, centres: np.ndarray, mass: np.ndarray, seen: np.ndarray) -> dict[str, Said]:
    """What heads say: of rgb the species, the traits and maps of four pixels, of uv the mass."""
    whole, values = np.ones(len(rgb), dtype=bool), np.stack([mass, np.where(seen, 2.0, 0.0)], 1)
    clips = Said("species", rgb @ centres.T / 4, whole, unpooled=0.5)  # as of rows that were scored as one
    return {"classifier": clips, "tags": Said("traits", rgb[:, 2::-1] + rgb[:, :3], whole),
            "regressor": Said("mass", values, seen), **maps(whole)}  # fmt: skip


def maps(whole: np.ndarray) -> dict[str, Said]:
    """What heads of maps add to the scores: counts of three classes, and sums over pixels, see `metric.segmentation`."""
    draw = np.random.default_rng(1)
    true, error = draw.normal(size=(2, len(whole), 4))
    sums = [np.full(len(whole), 4.0), true.sum(1), (true**2).sum(1), (error**2).sum(1), np.abs(error).sum(1)]
    counts = draw.integers(0, 3, (len(whole), 3, 3)) + 2 * np.eye(3, dtype=np.int64)
    return {
        "cover": Said("cover", counts, whole, of_pixels=True),
        "depth": Said("depth", np.stack(sums, 1), whole, True),
    }


def given(one: Made, both: Both) -> dict[str, Any]:
    """What it gives of (train, test), called as a run calls it: each has a `data`, `system` and `device` to ask for."""
    train, test = both
    data, system = sounding.run() if one.name in sounding.NAMES else run()
    return call(one.build(), train=train, test=test, val=train, data=data, system=system, device="cpu")


@cache
def run() -> tuple[Any, System]:
    """What an evaluator may ask of the data, and the system: rgb, uv and a text, all of width 16, trained by CLIP's loss."""
    names = {"species": ["ant", "bee", "crab", "duck"], "sex": ["female", "male"], "coin": ["heads", "tails"],
             "traits": ["wings", "legs", "shell"], "mass": []}  # fmt: skip
    words = Tokens.train([name for own in names.values() for name in own], 40, 8)
    bands = tuple(Band(str(i)) for i in range(16))
    streams = {name: Stream(name, "vector", bands) for name in NAMES[:2]}
    streams["text"] = Stream("text", "text", vocab=words.vocab, length=8)
    temperature = LearnedScalar(0.07, 0.01, 1.0)
    loss = Keyed(clip, z="out.projection", ids="batch.ids", present="present", temperature=temperature)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        system = System(streams, {}, backbone=partial(Vector, widths=[16]), backbones={"text": partial(Text, width=16, layers=1)},
                        fusion=partial(Separate), head=partial(Projection, dim=16), loss=loss)  # fmt: skip
    system.eval()
    nothing = {name: torch.zeros(1, 16) for name in NAMES[:2]} | {"text": torch.zeros(1, 8, dtype=torch.int64)}
    data = SimpleNamespace(streams=streams, tokens={"text": words}, classes=names, batch=lambda rows: Batch.of(nothing))
    return data, system


def states(one: Made) -> None:
    """Scores are called and made as it states."""
    both = embeddings()
    scores(one.stated, given(one, both), list(both[1].said if one.stated.reads == "heads" else NAMES))


def scores(stated: Scored, found: dict[str, Any], names: list[str]) -> None:
    """`found` is what it gave of embeddings of these names."""
    told = f"evaluator {stated.name}"
    owed(
        stated.scores is not None,
        f"{told}: state its scores and their better way: scores = {{'accuracy': 'max', 'k': None}}",
    )
    owed(stated.by in LENGTHS, f"{told}: state how its keys are made: by = 'label', 'pair' or 'name'")
    owed(found, f"{told}: gives no scores")
    for key, value in found.items():
        first, *rest = key.split("/")
        owed(type(value) is float, f"{told}: {key} is {value!r}; expected a float")
        if first in stated.also or "skipped" in rest:
            continue
        owed(first == stated.name, f"{told}: {key} begins with another name than its own; state also = ({first!r},)")
        owed(1 + len(rest) in LENGTHS[str(stated.by)], f"{told}: {key} is not as by = {stated.by!r} has it")
        own = stated.word(rest[-1]) is not None or rest[-1] in COUNTS
        owed(own, f"{told}: gives {rest[-1]}, which its scores don't state; add it, None if neither way is better")
        known = stated.by == "pair" or rest[0] in [
            *names,
            *stated.adds,
            *(sounding.HEARD if first in sounding.NAMES else ()),
        ]
        owed(known, f"{told}: {key} is of {rest[0]}, which is no name here; state adds = ({rest[0]!r},)")
    last = {key.rpartition("/")[2] for key in found}
    for word in stated.scores or {}:
        given = any(stated.word(w) == word for w in last)
        owed(given, f"{told}: states {word}, but never gives it; take it out of scores")
    for word in stated.shown:
        owed(word in (stated.scores or {}) or word in COUNTS, f"{told}: shows {word}, which is none of its scores")


def again(one: Made) -> None:
    """The same embeddings give the same scores, to the bit, and finite ones."""
    first, second = (given(one, embeddings()) for _ in range(2))
    odd = [k for k in {**first, **second} if first.get(k) != second.get(k) or not math.isfinite(first[k])]
    told = f"evaluator {one.name}: {', '.join(odd[:3])}"
    owed(not odd, f"{told} is not finite, or is another number the second time; give its random draws a seed")


def missing_rows(one: Made) -> None:
    """What stands in a row that is not present is not looked at."""
    whole = embeddings()
    changed = _garbage(whole[0]), _garbage(whole[1])
    first, second = given(one, whole), given(one, changed)
    leaky = [k for k in first if first[k] != second.get(k)]
    owed(not leaky, f"evaluator {one.name}: {', '.join(leaky[:3])} changes with rows that are missing; take x[present]")


def few_rows(one: Made) -> None:
    """One test row, and a name without any: scored, skipped with a reason, or NaN (null in files), and never an error."""
    train, test = embeddings()
    nothing = replace(test, present={**test.present, "uv": np.zeros(len(test), dtype=bool)})
    for what, e in (("one test row", test.rows(np.arange(1))), ("no row of uv", nothing)):
        try:
            found = given(one, (train, e))
        except Exception as error:
            raise AssertionError(
                f"evaluator {one.name}: {type(error).__name__}: {error}, with {what}; record a skip(key, reason)"
            ) from error
        odd = [k for k, v in found.items() if math.isinf(v)]
        owed(not odd, f"evaluator {one.name}: {', '.join(odd[:3])} is infinite with {what}; record a skip(key, reason)")


def _garbage(e: Embeddings) -> Embeddings:
    vectors = {k: np.where(e.present[k][:, None], x, np.float32(7.5)) for k, x in e.vectors.items()}
    said = {
        k: replace(s, values=np.where(s.rows.reshape(-1, *[1] * (s.values.ndim - 1)), s.values, 7.5))
        for k, s in e.said.items()
    }
    return replace(e, vectors=vectors, said=said)


CHECKS = (states, again, missing_rows, few_rows)
