"""Write `report.html`, `report.md` and figures from `study.json`, whose text is treated as untrusted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from multimodal_lab import files
from multimodal_lab.report.study import page, plots
from multimodal_lab.report.study.sections import build_report
from multimodal_lab.runs.guarded import read_json

SOURCE = "study.json"
GALLERY = "gallery"
EXPLORER = "explorer.html"  # beside the report where there is one


class ReportError(ValueError):
    """A `study.json` that can't be read: file, key, what was expected."""


def write(folder: Path) -> list[Path]:
    """Write the report beside `folder/study.json`; returns its files. `ReportError` names the file and the key."""
    made = _read(folder / SOURCE)
    try:
        figures = plots.draw(folder / "figures", made)
        shown = build_report(made, {name: paths[0] for name, paths in figures.items()}, folder / GALLERY)
        shown = replace(shown, explorer=EXPLORER if (folder / EXPLORER).is_file() else "")
        texts = {"report.html": page.html(shown), "report.md": page.markdown(shown)}
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ReportError(
            f"{folder / SOURCE}: {type(error).__name__} {error}: not as a study writes it; judge the study again"
        ) from error
    for name, text in texts.items():
        files.write_text(folder / name, text)
    return [*(folder / name for name in texts), *(p for paths in figures.values() for p in paths)]


def _read(path: Path) -> Mapping[str, Any]:
    try:
        made = read_json(path)
    except FileNotFoundError:
        raise ReportError(f"{path}: not there; python -m multimodal_lab.study runs={path.parent} writes it") from None
    except (OSError, ValueError) as error:
        raise ReportError(f"{path}: not whole JSON ({error}); judge the study again") from None
    if not isinstance(made, dict):
        raise ReportError(f"{path}: is a {type(made).__name__}, expected an object")
    for key, kind in (("labels", dict), ("question", dict), ("cells", dict), ("warnings", list), ("problems", list)):
        if not isinstance(made.get(key), kind):
            raise ReportError(f"{path}: {key} is {type(made.get(key)).__name__}, expected {kind.__name__}")
    return made
