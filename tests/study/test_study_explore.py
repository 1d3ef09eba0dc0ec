"""A study's explorer: of which cell, and that a page which can't be made costs no verdict."""

import io
import sys
from pathlib import Path

from made import LEVELS, study
from rich.console import Console

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))
from made_run import run

from multimodal_lab.study.analysis import judge
from multimodal_lab.study.launch import conclude, explore
from multimodal_lab.study.ledger import outcomes


def concluded(folder):
    said = io.StringIO()
    conclude.conclude(folder, Console(width=160, file=said))
    return said.getvalue()


def test_the_page_is_of_the_headline_arm_and_the_report_leads_to_it(tmp_path):
    folder = study(tmp_path / "mine", {**LEVELS, "other": 0.7}, seeds=(3, 1, 2), groups=80)
    found = outcomes.load(folder)
    for entry in found.finished:
        if entry.cell.arm in ("fused", "other") and (entry.cell.arm, entry.cell.seed) != ("fused", 3):
            run(entry.folder, pictures=False, n=12)
    chosen = explore.cell(found, judge.judge(found)).cell
    assert (chosen.arm, chosen.seed) == ("fused", 1)  # seed 3 comes first and has lost its embeddings
    said = concluded(folder)
    assert "explorer.html" in said
    assert f"<title>{chosen.folder} " in (folder / "explorer.html").read_text()
    assert 'href="explorer.html"' in (folder / "report.html").read_text()
    assert "(explorer.html)" in (folder / "report.md").read_text()
    damaged = folder / chosen.folder / "embeddings" / "rgb.parquet"
    damaged.write_bytes(damaged.read_bytes()[:100])
    assert "no explorer" in (said := concluded(folder))
    assert str(damaged) in said.replace("\n", "")


def test_a_study_without_embeddings_has_no_page(tmp_path):
    folder = study(tmp_path / "mine", groups=80)
    assert "no explorer: no finished cell of a fused arm has embeddings" in concluded(folder)
    assert "<a " not in (folder / "report.html").read_text()
