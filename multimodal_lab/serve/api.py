"""The answers of the JSON API, as plain values."""

from __future__ import annotations

import time
from collections.abc import Hashable, Mapping
from typing import Any

from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.predict.answers import Answer
from multimodal_lab.predict.nearest import nearest
from multimodal_lab.serve.contents import Contents
from multimodal_lab.serve.gallery import Gallery
from multimodal_lab.serve.limits import Limits
from multimodal_lab.serve.model import Model, Turn
from multimodal_lab.serve.problem import unusable
from multimodal_lab.serve.question import Given, Question, given, parsed
from multimodal_lab.serve.reply import Asked
from multimodal_lab.text import expected_one_of, show

OPTIONS: dict[str, dict[str, type]] = {
    "/api/retrieve": {"top_k": int, "of": str, "by": str, "split": str},
    "/api/predict": {
        "threshold": float,
        "classes": list,
        "templates": list,
        "prompt_stream": str,
        "temperature": float,
    },
    "/api/embed": {},
}
FUSED = "fused"


class Api:
    """retrieve, predict, embed: a request in, the answer out; what can't be used is a `RequestError` or a `DataError`."""

    def __init__(self, model: Model, gallery: Gallery, limits: Limits) -> None:
        self.model, self.gallery, self.limits = model, gallery, limits

    def retrieve(self, asked: Asked) -> dict[str, Any]:
        """The samples nearest to what is given."""
        contents = self.gallery.ready()
        question, began = self._question(asked, "/api/retrieve"), time.perf_counter()
        k = question.options.get("top_k", 10)
        if not 1 <= k <= self.limits.results:
            raise unusable(f"top_k={k}: expected 1 to {self.limits.results}")
        split, of = question.options.get("split"), question.options.get("of")
        if split is not None and split not in contents.splits:
            raise unusable(f"split={show(split)}: {expected_one_of(split, contents.splits)}")
        if of is not None and of not in contents.spaces:
            raise unusable(f"of={show(of)}: {expected_one_of(of, contents.spaces)}")
        with self._given(question) as own, self.model.turn() as turn:
            found = self._embedded(own)
            notes = [*own.notes, *self._lost(own)]
        by = _by(question, found)
        of = of or _other(by, contents)
        index = contents.index(of, split)
        rows = nearest(found, by, index, k).to_dict("records")
        results = [self._result(contents, row) for row in rows]
        return {"by": by, "of": of, "results": results, "notes": notes, **self._costs(turn, began)}

    def predict(self, asked: Asked) -> dict[str, Any]:
        """What the run's heads say, and, of classes that are named, which one it is."""
        question, began = self._question(asked, "/api/predict"), time.perf_counter()
        if (threshold := question.options.get("threshold")) is not None and not 0 <= threshold <= 1:
            raise unusable(f"threshold={threshold}: expected 0 to 1")
        classes = self._prompts(question)
        with self._given(question) as own, self.model.turn() as turn:
            samples, mask = None if own.sample is None else [own.sample], _one(own.mask)
            said, zero = {}, {}
            if self.model.labels or not classes:
                predictor = self.model.predictor
                said = predictor.predict(samples, mask=mask, threshold=threshold, **own.streams).answers
            if classes:
                zero = self.model.predictor.zero_shot(samples, mask=mask, **classes, **own.streams).answers
            notes = [*own.notes, *self._lost(own)]
        told = {name: _answer(answer) for name, answer in said.items()}
        of_classes = {name: _answer(answer) for name, answer in zero.items()}
        return {"answers": told, "zero_shot": of_classes, "notes": notes, **self._costs(turn, began)}

    def embed(self, asked: Asked) -> dict[str, Any]:
        """The vectors of what is given."""
        question, began = self._question(asked, "/api/embed"), time.perf_counter()
        with self._given(question) as own, self.model.turn() as turn:
            found = self._embedded(own)
            notes = [*own.notes, *self._lost(own)]
        there = [name for name in found.vectors if found.present[name][0]]
        return {
            "vectors": {name: found.vectors[name][0].tolist() for name in there},
            "projected": {name: found.projected[name][0].tolist() for name in there if name in found.projected},
            "notes": notes,
            **self._costs(turn, began),
        }

    def _prompts(self, question: Question) -> dict[str, Any]:
        """What is asked of classes by their names; {} where none are given."""
        own = {k: v for k, v in question.options.items() if k != "threshold"}
        classes, templates = own.get("classes") or [], own.get("templates")
        if not classes:
            if extra := [k for k in own if k != "classes"]:
                raise unusable(f"{extra[0]}: expected beside classes, which are missing")
            return {}
        for key, most in (("classes", self.limits.classes), ("templates", self.limits.templates)):
            if len(own.get(key, ())) > most:
                raise unusable(f"{key}: {len(own[key]):,}, expected at most {most:,}")
        if (many := sum(map(len, [*classes, *(templates or [])]))) > self.limits.prompts:
            raise unusable(f"classes and templates: {many:,} letters, expected at most {self.limits.prompts:,}")
        return own if templates else {k: v for k, v in own.items() if k != "templates"}

    def _question(self, asked: Asked, path: str) -> Question:
        return parsed(asked, OPTIONS[path], self.model.streams)

    def _given(self, question: Question) -> Any:
        return given(question, self.model.streams, self.model.wanted, self.limits)

    def _embedded(self, own: Given) -> Embeddings:
        samples = None if own.sample is None else [own.sample]
        return self.model.predictor.embed(samples, mask=_one(own.mask), **own.streams)

    def _lost(self, own: Given) -> list[str]:
        """What the model does not see of texts."""
        return [note for n, x in own.streams.items() if isinstance(x, str) for note in self.model.lost(n, x)]

    def _result(self, contents: Contents, row: Mapping[Hashable, Any]) -> dict[str, Any]:
        number = contents.number(str(row["id"]))
        return {
            "rank": int(row["rank"]), "number": number, "id": str(row["id"]), "split": row["split"],
            "score": float(row["score"]), "texts": contents.showing.texts(number), "labels": contents.labels(number),
            "pictures": {n: f"/pictures/{n}/{number}" for n in contents.pictured(number)},
            "media": {n: f"/media/{n}/{number}" for n in contents.played(number)},
        }  # fmt: skip

    def _costs(self, turn: Turn, began: float) -> dict[str, Any]:
        total = round(1000 * (time.perf_counter() - began), 1)
        return {"checkpoint": self.model.checkpoint, "milliseconds": {**turn.told(), "total": total}}


def _one(mask: Any) -> Any:
    return None if mask is None else mask[None]


def _by(question: Question, found: Embeddings) -> str:
    """The stream that is searched by."""
    there = [name for name in found.vectors if found.present[name][0]]
    by = question.options.get("by")
    if by is None:
        streams = [name for name in there if name != FUSED]
        by = streams[0] if len(streams) == 1 else FUSED if FUSED in there else None
    if by not in there:
        raise unusable(f"by={show(by)}: {expected_one_of(by or '', there)} (what was given has these)")
    return str(by)


def _other(by: str, contents: Contents) -> str:
    """What is searched where nothing is said: the other stream, where there are two, else the same."""
    streams = [name for name in contents.spaces if name != FUSED]
    others = [name for name in streams if name != by]
    if by in streams and len(others) == 1:
        return others[0]
    return by if by in contents.spaces else (others or [by])[0]


def _answer(answer: Answer) -> dict[str, Any]:
    """What one head says of the only sample, its classes by probability."""
    value = answer.value[0]
    told: dict[str, Any] = {"label": answer.label, "kind": answer.kind}
    told["value"] = value if value is None or isinstance(value, str) else float(value)
    if answer.probability is not None:
        ranked = sorted(zip(answer.classes, answer.probability[0].tolist(), strict=True), key=lambda pair: -pair[1])
        told["probabilities"] = [{"class": name, "probability": p} for name, p in ranked]
    if answer.std is not None:
        told["std"] = float(answer.std[0])
    return told
