"""Duplicate samples across splits: exact by hash, near by perceptual hash and correlation."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

import numpy as np

from multimodal_lab.data.audit import near_images
from multimodal_lab.data.audit.finding import Finding, listed, number
from multimodal_lab.data.audit.membership import Crossing, Parts, crossing
from multimodal_lab.data.audit.regroup import of_copies
from multimodal_lab.data.audit.space import BITS, space, within
from multimodal_lab.data.audit.view import ENOUGH, Seen, View

DISTANCE = 7  # of 64 bits
BARE = 0.75  # of an image without any detail: of drawn shapes more, of specimens and emoji less
ALIKE = 0.99  # correlation of deviations from which two samples count as copies
_TURNED = ["", ", turned by 90°", ", turned by 180°", ", turned by 270°", ", mirrored", *[", mirrored and turned"] * 3]


def exact(view: View, parts: Parts, labels: Collection[str] = ()) -> Iterator[Finding]:
    """Equal numbers in two parts (void where one is the test part), in all streams or in one; equal samples within a part.

    A blank stream, or fewer than 16 numbers, may be equal by chance and are left aside. labels: no column to group copies by.
    """
    both = crossing(view.whole, parts)
    alone = len(view.streams) == 1
    if both:
        where = next(iter(view.streams)) if alone else "all streams"
        yield _leak("exact duplicate", where, "number for number", both, both.pairs(), both.tested, labels)
    told = np.zeros(len(parts.home), dtype=bool)
    told[both.held] = True
    known: list[np.ndarray] = []
    for name, seen in view.streams.items() if not alone else ():
        content = np.where(seen.blank, -1, seen.content)
        if seen.texts is not None or seen.size < ENOUGH or any(np.array_equal(content, k) for k in known):
            continue
        known.append(content)
        found = crossing(content, parts)
        own = Crossing(found.held[~told[found.held]], found.first[~told[found.held]], parts)
        if own:
            what = f"number for number in stream {name}"
            yield _leak("exact duplicate", name, what, own, own.pairs(), own.tested, labels)
    yield from _repeated(view, parts)


def _repeated(view: View, parts: Parts) -> Iterator[Finding]:
    """The same sample more than once in one part: it counts twice, as if it were two."""
    for place, name in enumerate(parts.names):
        rows = np.flatnonzero((parts.home == place) & (view.whole >= 0))
        _, first, which = np.unique(view.whole[rows], return_index=True, return_inverse=True)
        again = np.flatnonzero(first[which] != np.arange(len(rows)))
        held, origin = rows[again], rows[first[which[again]]]
        other = parts.groups[held] != parts.groups[origin]  # of one group they count as one already
        held, origin = held[other], origin[other]
        if len(held):
            examples = tuple(f"{parts.ids[a]} = {parts.ids[b]}" for a, b in zip(held[:20], origin[:20]))
            yield Finding(
                "exact duplicate", name,
                f"{number(len(held), 'sample')} of {name} equal another of {name}, number for number: {listed(examples)}; "
                "they count as if they were measured apart",
                False, len(held), examples,
            )  # fmt: skip


def contradictions(view: View, parts: Parts, labels: dict[str, np.ndarray]) -> Iterator[Finding]:
    """Equal samples that have different classes. labels[name] (N,): classes, -1 where missing."""
    for label, classes in labels.items():
        rows = np.flatnonzero((view.whole >= 0) & (classes >= 0) & (parts.home >= 0))
        order = rows[np.lexsort((rows, classes[rows], view.whole[rows]))]
        same = view.whole[order][1:] == view.whole[order][:-1]
        odd = np.flatnonzero(same & (classes[order][1:] != classes[order][:-1]))
        if len(odd):
            pairs = tuple(f"{parts.ids[order[i]]} = {parts.ids[order[i + 1]]}" for i in odd[:20])
            yield Finding(
                "contradiction", label,
                f"{number(len(odd), 'pair')} of equal samples with different {label}: {listed(pairs)}; one of them is wrong",
                False, len(odd), pairs, label,
            )  # fmt: skip


def near(view: View, parts: Parts, labels: Collection[str] = ()) -> Iterator[Finding]:
    """Near copies across parts, stream by stream; a warning.

    Images: see `near_images`. Others, and videos: at most 7 of 64 bits apart, and correlated by .99.
    """
    known: list[np.ndarray] = []
    for name, seen in view.streams.items():
        looks = seen.signatures if seen.thumbs is None else seen.thumbs
        if looks is None or any(np.array_equal(looks, k) for k in known):
            continue
        known.append(looks)
        if seen.thumbs is None:
            found, alike = _near(seen, parts)
            how = np.zeros(len(alike), dtype=int)
        else:
            own = near_images.near(seen.thumbs, seen.present & ~seen.blank, seen.content, parts)
            found, alike, how = Crossing(own.held, own.first, parts), own.alike, own.view
        if found:
            order = np.lexsort((-alike, -parts.home[found.held]))
            ranked = Crossing(found.held[order], found.first[order], parts)
            told = zip(ranked.pairs("≈"), alike[order], how[order], strict=False)
            pairs = tuple(f"{pair}, r {r:.3f}{_TURNED[v]}" for pair, r, v in told)
            made = _leak("near duplicate", name, f"nearly, in stream {name}", ranked, pairs, False, labels)
            bare = 0 if seen.thumbs is None else int((near_images.plain(seen.thumbs[found.held]) >= BARE).sum())
            told_bare = f"; {bare} of them are little on a plain ground, where others drawn alike look like copies, too"
            yield replace(made, sentence=made.sentence + told_bare) if bare else made


def _near(seen: Seen, parts: Parts) -> tuple[Crossing, np.ndarray]:
    """Each later sample with its likest one of an earlier part, where that is a near copy; and their correlations."""
    assert seen.signatures is not None
    best, partner = np.zeros(len(parts.home)), np.full(len(parts.home), -1)
    usable = seen.present & ~seen.blank
    made = space(seen.signatures, parts.rows("train")[usable[parts.rows("train")]], whiten=not seen.image)
    for place in range(len(parts.names) - 1 if made is not None else 0):
        assert made is not None
        base, query = (np.flatnonzero(own & usable) for own in (parts.home == place, parts.home > place))
        for i, j in within(made.hash[base], made.hash[query], made.bits, DISTANCE * made.bits // BITS):
            a, b = base[i], query[j]
            other = seen.content[a] != seen.content[b]
            a, b = a[other], b[other]
            r = np.einsum("nw,nw->n", made.unit[a], made.unit[b])
            a, b, r = a[r >= ALIKE], b[r >= ALIKE], r[r >= ALIKE]
            up = np.argsort(r, kind="stable")
            better = up[r[up] > best[b[up]]]
            best[b[better]], partner[b[better]] = r[better], a[better]
    held = np.flatnonzero(partner >= 0)
    return Crossing(held, partner[held], parts), best[held]


def _leak(
    kind: str, where: str, how: str, found: Crossing, pairs: tuple[str, ...], void: bool, labels: Collection[str]
) -> Finding:
    trained = bool((found.parts.home[found.first] == found.parts.names.index("train")).all())
    earlier = "a training sample" if trained else "one of an earlier part"
    sentence = f"{found.counted} equal {earlier}, {how}: {listed(pairs)}; {of_copies(found, labels)}"
    return Finding(kind, where, sentence, void, len(found.held), pairs)  # type: ignore[arg-type]
