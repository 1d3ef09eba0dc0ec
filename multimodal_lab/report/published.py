"""Published figures of a data set, to stand beside a run's own where both are of the same samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from multimodal_lab.report.summary import number
from multimodal_lab.text import printable

SCORES = {
    "average_precision_macro": "AP macro", "average_precision_micro": "AP micro", "f1_macro": "F1 macro",
    "f1_micro": "F1 micro",
}  # fmt: skip


class Published:
    """What others have published of the test split of one data set; nothing of it was measured here.

    data: what the data set is called. column: the column of the sample table that is its official split. n: how many samples
    its test split has. source: where the figures come from. rows: `{name, source, average_precision_macro, …}`, scores of
    `SCORES`; a missing one was not found. notes: a sentence each, such as of figures that were looked for in vain.
    """

    def __init__(
        self,
        *,
        data: str,
        column: str,
        n: int,
        source: str,
        rows: Sequence[Mapping[str, Any]],
        notes: Sequence[str] = (),
    ) -> None:
        self.data, self.column, self.n, self.source, self.rows, self.notes = data, column, n, source, rows, notes
        for row in rows:
            if wrong := [k for k in row if k not in ("name", "source", *SCORES)]:
                raise ValueError(
                    f"report.published: {wrong[0]!r} of {row.get('name')}: expected name, source or one of {', '.join(SCORES)}"
                )
            if odd := [k for k in SCORES if k in row and not 0 <= row[k] <= 1]:
                raise ValueError(f"report.published: {odd[0]} of {row['name']} is {row[odd[0]]}; expected 0 to 1")

    def hidden(self, config: Mapping[str, Any], summary: Mapping[str, Any]) -> str:
        """Why the figures may not stand beside those of a run: it is scored on other samples. "" where they may."""
        data = config["data"]
        split = data.get("split") or {}
        found = max((int(v) for k, v in summary.items() if k.startswith("head/") and k.endswith("/n")), default=0)
        if data.get("root") is None:
            return "the data are made up (data.root=null)"
        if config.get("eval_split", "test") != "test":
            return f"the run is scored on the {config['eval_split']} split"
        if split.get("column") != self.column:
            return f"the split is not the official one (data.split.column={split.get('column') or 'null'}, not {self.column})"
        if data.get("shuffle"):
            return "a stream is shuffled (data.shuffle)"
        if found != self.n:
            return f"{found} samples were scored, and the official test split has {self.n}"
        return ""

    def table(self, summary: Mapping[str, Any]) -> RenderableType:
        """The published rows, said to be so, below those of the run's own heads; their sources stand in the CSV."""
        drawn = Table(title=f"{self.data}, official test split", box=box.SIMPLE_HEAD, title_justify="left")
        for column in ("", "figures"):
            drawn.add_column(column, no_wrap=True)
        for title in SCORES.values():
            drawn.add_column(title, justify="right")
        for row in self.frame(summary):
            style = "dim" if row["figures"] == "published" else ""
            cells = [number(row.get(score), ".4f") for score in SCORES]
            drawn.add_row(printable(row["name"]), row["figures"], *cells, style=style)
        notes = [
            Text(printable(said), style="dim")
            for said in (f"Published, not measured here: {self.source}.", *self.notes)
        ]
        return Group(drawn, *notes)

    def frame(self, summary: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Rows of `table`: name, figures (`measured` or `published`), the scores, source."""
        stems = dict.fromkeys(
            k.rpartition("/")[0] for k in summary if k.startswith("head/") and k.endswith("/f1_macro")
        )
        own = [{"name": stem, "figures": "measured", "source": "this run"} | {k: summary.get(f"{stem}/{k}") for k in SCORES}
               for stem in stems]  # fmt: skip
        return [*own, *({"source": "", **row, "figures": "published"} for row in self.rows)]
