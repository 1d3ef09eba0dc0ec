"""Labels that an input text states word for word."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from multimodal_lab.data.audit.finding import Finding, listed
from multimodal_lab.data.audit.membership import Parts
from multimodal_lab.data.audit.spelling import plain
from multimodal_lab.data.audit.view import View

SAID = 0.5  # share of samples whose text names a class, and
RIGHT = 0.9  # share of these whose class it is


def named(
    view: View, parts: Parts, labels: Mapping[str, np.ndarray], names: Mapping[str, Sequence[str]]
) -> Iterator[Finding]:
    """Text streams that name one class in at least half of the samples, the right one in nine of ten; a warning."""
    for stream, seen in view.streams.items():
        rows = np.flatnonzero(parts.home >= 0) if seen.texts is not None else np.zeros(0, dtype=int)
        for label, values in labels.items() if len(rows) else ():
            places = {plain(n): i for i, n in enumerate(names[label]) if len(plain(n)) > 1}
            if not places:
                continue
            word = re.compile(
                r"(?<!\w)(?:" + "|".join(map(re.escape, sorted(places, key=len, reverse=True))) + r")(?!\w)"
            )
            known = rows[values[rows] >= 0]
            said = [{places[m] for m in word.findall(plain(" ".join((seen.texts or [])[r])))} for r in known]
            only = [r for r, own in zip(known, said) if len(own) == 1]
            right = [r for r, own in zip(known, said) if own == {int(values[r])}]
            if len(known) and len(only) >= SAID * len(known) and len(right) >= RIGHT * len(only):
                examples = tuple(f"{parts.ids[r]} ({names[label][values[r]]})" for r in right[:20])
                sentence = f"{stream} names the {label} of {len(right):,} of {len(known):,} samples: {listed(examples)}"
                yield Finding(
                    "label in text",
                    f"{label} × {stream}",
                    f"{sentence}; it is no evidence from {stream}",
                    False,
                    len(right),
                    examples,
                    label,
                )
