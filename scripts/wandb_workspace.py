"""Create the W&B dashboard of a study.

python scripts/wandb_workspace.py runs=multirun/NAME entity=WHO [project=multimodal_lab] [save=true]

Without `save=true` nothing reaches a network: the panels are listed. Needs `pip install wandb-workspaces`; saving needs a
W&B account (`wandb login`) and the study's runs there (log=wandb log.wandb.mode=online, or `wandb sync`).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

WORDS = {"runs": None, "entity": None, "project": "multimodal_lab", "save": "false"}


def sections(labels: dict[str, Any]) -> list[Any]:
    """Verdicts and tables, scores by arm, training curves, cost: what docs/wandb.md lists."""
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws

    tables = [
        wr.WeavePanelSummaryTable(table_name=f"study/{t}") for t in ("verdicts", "comparisons", "arms", "controls")
    ]
    scores = [
        wr.BarPlot(title=label, metrics=[f"probe/{s}/{label}/accuracy" for s in _streams(own)], groupby="job_type",
                   groupby_aggfunc="mean", orientation="v")
        for label, own in labels.items()
    ]  # fmt: skip
    curves = [
        wr.LinePlot(title=y, x="optimizer_step", y=[y], groupby="job_type")
        for y in ("train/total", "val/total", "train/grad_norm")
    ]
    cost = [wr.BarPlot(title=m, metrics=[m], groupby="job_type") for m in ("cost/wall_s", "cost/peak_memory_mb")]
    parts = {"Verdicts": tables, "Scores by arm": scores, "Training": curves, "Cost": cost}
    return [ws.Section(name=name, panels=panels, is_open=name != "Cost") for name, panels in parts.items()]


def _streams(label: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys(arm["stream"] for arm in label["arms"].values()))


def main() -> None:
    given = {**WORDS, **dict(a.split("=", 1) for a in sys.argv[1:] if "=" in a)}
    missing = [k for k in ("runs", "entity") if not given[k]]
    if unknown := sorted(given.keys() - WORDS.keys()):
        sys.exit(f"error: no {unknown[0]}=…; there are {', '.join(WORDS)}\n{__doc__}")
    if missing:
        sys.exit(f"error: {missing[0]}=… is missing\n{__doc__}")
    folder = Path(str(given["runs"]))
    if not (folder / "study.json").is_file():
        sys.exit(f"error: runs={folder}: no study.json here; python -m multimodal_lab.study runs={folder} writes it")
    labels = json.loads((folder / "study.json").read_text())["labels"]
    import wandb_workspaces.workspaces as ws

    board = ws.Workspace(
        entity=str(given["entity"]), project=str(given["project"]), name=folder.name, sections=sections(labels),
        runset_settings=ws.RunsetSettings(filters=f"Metric('group') == '{folder.name}'"),
    )  # fmt: skip
    for section in board.sections:
        print(section.name)
        for panel in section.panels:
            print("  " + (getattr(panel, "title", None) or getattr(panel, "table_name", type(panel).__name__)))
    if given["save"] == "true":
        print(board.save().url)
    else:
        print("nothing was sent; save=true saves it")


if __name__ == "__main__":
    main()
