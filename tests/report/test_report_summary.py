"""The tables of a run: every score that an evaluator shows, beside what it is counted by."""

import io

from rich.console import Console

from multimodal_lab.evaluate.retrieval import Retrieval
from multimodal_lab.metric.direction import Scored
from multimodal_lab.report import summary


def test_a_pair_that_is_scored_by_a_label_too_has_a_line_for_it():
    pair = {"R@1": 0.125, "chance_R@1": 0.003, "map": 0.25, "median_rank": 9.0, "keys": 328.0, "projected": 1.0}
    scores = {f"retrieval/image->text/{word}": value for word, value in pair.items()}
    scores |= {"retrieval/image->text/group/R@1": 0.479, "retrieval/image->text/group/chance_R@1": 0.155}
    scores |= {"retrieval/image->text/mass/skipped/target_is_values": 1.0, "retrieval/text->image/R@1": 0.0625}
    told = Scored("retrieval", Retrieval.scores, Retrieval.either_way, Retrieval.by, Retrieval.shown, Retrieval.title)
    drawn = Console(width=120, file=io.StringIO(), color_system=None)
    with drawn.capture() as shown:
        drawn.print(summary.table(scores, [told]))
    rows = [line.split() for line in shown.get().splitlines() if "→" in line][1:]
    assert [row[:4] for row in rows] == [
        ["image", "→", "text", "0.125"],
        ["image", "→", "text,", "of"],
        ["text", "→", "image", "0.062"],
    ]
    assert rows[1][4:8] == ["one", "group", "0.479", "0.155"]
