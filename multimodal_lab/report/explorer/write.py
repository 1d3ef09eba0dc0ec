"""Write the explorer page of a run directory."""

from __future__ import annotations

from pathlib import Path

from multimodal_lab import files
from multimodal_lab.report.explorer import page, source
from multimodal_lab.report.explorer.content import content
from multimodal_lab.report.explorer.source import ExplorerError
from multimodal_lab.report.projection import Method


def write(run_dir: Path, out: Path | None = None, method: Method = "pca") -> Path:
    """Write the page, by default `run_dir/figures/explorer.html`; `ExplorerError` says what is wrong with the run."""
    if why := page.missing(method):  # before what takes long
        raise ExplorerError(why)
    found = source.read(run_dir)
    path = out or run_dir / "figures" / "explorer.html"
    text = page.html(content(found, run_dir.resolve().name, method))
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(path, text)
    return path
