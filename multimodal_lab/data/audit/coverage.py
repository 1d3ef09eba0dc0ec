"""Coverage of each split: samples, classes, modalities and groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from multimodal_lab.data.audit.finding import Finding, listed, number
from multimodal_lab.data.audit.membership import Parts
from multimodal_lab.data.audit.view import View
from multimodal_lab.data.split import linked

FEWEST = 5  # samples of a class, and groups of the test part
UNEVEN = 0.25  # difference of the shares of samples that have a modality
NEEDED = ("train", "test")


def empty(parts: Parts) -> Iterator[Finding]:
    """A part without a sample that can be read, and a split without a test part; void but for val."""
    for name in dict.fromkeys([*parts.names, *NEEDED]):
        if not len(parts.rows(name)):
            why = "holds no sample that can be read" if name in parts.names else "there is none"
            yield Finding("empty split", name, f"{name}: {why}; {_lost(name)}", name in NEEDED)


def _lost(name: str) -> str:
    uses = {"train": "nothing can be learnt", "test": "nothing can be scored"}
    return uses.get(name, "there is nothing to choose the epoch by")


def classes(
    parts: Parts, labels: Mapping[str, np.ndarray], names: Mapping[str, Sequence[str]], fitted: str = "train"
) -> Iterator[Finding]:
    """Labels of one class, or none, in a part (void in train and test), and classes absent or rare in train or test.

    labels[name] (N,): classes, -1 where missing; names: of the classes. fitted: the part that labels are learnt from, `val`
    where what is trained is told none; one class in train is then no void.
    """
    needed = (fitted, "test")
    for label, values in labels.items():
        counts = {p: _counts(values[parts.rows(p)], len(names[label])) for p in parts.names if len(parts.rows(p))}
        for part, own in counts.items():
            if (own > 0).sum() < 2:
                only = f"only {names[label][int(own.argmax())]!r}" if own.any() else "no sample that has it"
                what = "nothing tells classes apart there" if part in needed else "epochs can't be chosen by it"
                what = f"{what} (data.split.stratify={label} spreads the classes)"
                if part == "train" != fitted:
                    what = f"it is told on {fitted} alone"
                yield Finding(
                    "single class", label, f"{part} has {only} of {label}; {what}", part in needed, label=label
                )
        if all(p in counts and (counts[p] > 0).sum() > 1 for p in NEEDED):
            yield from _absent(label, names[label], counts["train"], counts["test"])
            yield from _thin(label, names[label], counts["train"], counts["test"])


def several(parts: Parts, labels: Mapping[str, np.ndarray], names: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    """The same of labels of which a sample may have several, (N, K) of 0 and 1, -1 where missing: absent or rare classes."""
    for label, values in labels.items():
        if all(len(parts.rows(p)) for p in NEEDED):
            train, test = ((values[parts.rows(p)] > 0).sum(0) for p in NEEDED)
            yield from _absent(label, names[label], train, test)
            yield from _thin(label, names[label], train, test)


def _absent(label: str, names: Sequence[str], train: np.ndarray, test: np.ndarray) -> Iterator[Finding]:
    for part, here, there, means in (
        ("train", train, test, "no arm can be right on them"),
        ("test", test, train, "how well they are known isn't measured"),
    ):
        gone = np.flatnonzero((here == 0) & (there > 0)).tolist()
        if len(gone):
            said = tuple(names[i] for i in gone)
            sentence = f"{number(len(gone), 'class', 'classes')} of {label} not in {part}: {listed(said)}; {means}"
            yield Finding("absent class", label, sentence, False, len(gone), said, label)


def _thin(label: str, names: Sequence[str], train: np.ndarray, test: np.ndarray) -> Iterator[Finding]:
    thin = np.flatnonzero(((train > 0) & (train < FEWEST)) | ((test > 0) & (test < FEWEST))).tolist()
    if len(thin):
        said = tuple(f"{names[i]} ({train[i]} in train, {test[i]} in test)" for i in thin)
        sentence = (
            f"{number(len(thin), 'class', 'classes')} of {label} with fewer than {FEWEST} samples: {listed(said)}"
        )
        yield Finding(
            "thin class", label, f"{sentence}; a score of theirs is mostly luck", False, len(thin), said, label
        )


def groups(parts: Parts) -> Iterator[Finding]:
    """Too few groups in the test part: other groups may answer otherwise, and no number of seeds can tell."""
    found = len(np.unique(parts.groups[parts.rows("test")]))
    if parts.by and 0 < found < FEWEST:
        there = linked.counted(found, parts.unit)
        sentence = f"test has {there}, fewer than {FEWEST}: the interval rests on them alone"
        yield Finding("few groups", " + ".join(parts.by), sentence, False, found)


def modalities(view: View, parts: Parts) -> Iterator[Finding]:
    """Streams that no sample of train or test has (void), or that far fewer have in one than in the other."""
    shares = {n: {p: _share(s.present[parts.rows(p)]) for p in parts.names} for n, s in view.streams.items()}
    for stream, own in shares.items():
        for part in (p for p in parts.names if own[p] == 0):
            lost = "what it adds can't be learnt" if part == "train" else "what it adds isn't seen"
            yield Finding("absent modality", stream, f"{stream}: no sample of {part} has it; {lost}", part in NEEDED)
        train, test = own.get("train", 0), own.get("test", 0)
        if train and test and abs(train - test) > UNEVEN:
            sentence = f"{stream}: {train:.0%} of train have it, {test:.0%} of test"
            yield Finding("uneven modality", stream, f"{sentence}; arms meet other gaps than they have learnt", False)


def blanks(view: View, parts: Parts) -> Iterator[Finding]:
    """Samples of which a stream holds one number only."""
    for name, seen in view.streams.items():
        rows = np.flatnonzero(seen.blank & (parts.home >= 0)) if seen.size > 1 else np.zeros(0, dtype=int)
        if len(rows):
            said = tuple(parts.called(r) for r in rows[:20])
            sentence = f"{name} is blank, one number throughout, in {number(len(rows), 'sample')}: {listed(said)}"
            yield Finding("blank input", name, sentence, False, len(rows), said)


def _counts(values: np.ndarray, classes: int) -> np.ndarray:
    return np.bincount(values[values >= 0], minlength=classes)


def _share(present: np.ndarray) -> float:
    return float(present.mean()) if len(present) else float("nan")
