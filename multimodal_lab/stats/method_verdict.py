"""The verdict on two methods that see the same modalities: the rules of docs/verdict.md, "Methods", in order."""

from __future__ import annotations

from multimodal_lab.stats.seeds import FEWEST_SEEDS
from multimodal_lab.stats.verdict import Evidence, Verdict


def method_verdict(e: Evidence) -> Verdict:
    """Whether `e.fused`, an arm, is better than `e.baseline`, the reference. Nothing is asked of controls.

    A difference is what it is, whether capacity, steps or the idea makes it: no word says why one method is better.
    """
    of, over, size = e.fused, e.baseline, e.gain.score.size
    note = f" {e.note[0].upper()}{e.note[1:]}." if e.note else ""
    if e.problems:
        return Verdict("invalid", f"the comparison does not stand: {'; '.join(e.problems)}.{note}")
    if e.seeds < FEWEST_SEEDS:
        few = f"{e.seeds} seed{'s' * (e.seeds != 1)} cannot tell a method from its luck; {FEWEST_SEEDS} are the least."
        return Verdict("not known", f"{of} against {over}: {e.gain}. {few}{note}")
    sure = e.gain.above() or e.gain.differs(e.alpha)
    if e.equivalence.shown:
        tail = f" A difference of {e.gain.plain(e.gain.mean)} is sure, and too small to matter." if sure else ""
        low, high = (e.gain.plain(end) for end in (e.equivalence.low, e.equivalence.high))
        said = f"the difference of {of} from {over} is within {size(e.equivalence.margin)} ({low} to {high})."
        return Verdict("alike", f"{said}{tail}{note}")
    if e.gain.above():
        return Verdict("better", f"{of} is better than {over}: {e.gain.claimed}.{note}")
    if e.gain.mean < 0 and e.gain.differs(e.alpha):
        return Verdict("worse", f"{of} is worse than {over}: {e.gain}.{note}")
    unseen = (
        f"{of} against {over}: {e.gain}, neither surely other than 0 nor surely within {size(e.equivalence.margin)}"
    )
    sees = "no gain, however large, would be found by 80 % of studies of this size"
    if e.detectable < float("inf"):
        sees = f"of a study of this size 80 % would find a gain of {size(e.detectable)}"
    return Verdict("not known", f"{unseen}; {sees}.{note}")
