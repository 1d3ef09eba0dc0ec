"""Make the explorer page of a run's embeddings: `python -m multimodal_lab.explore run=DIR`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

from multimodal_lab import stage
from multimodal_lab.config import redact
from multimodal_lab.runs.records import DATA, require_readable
from multimodal_lab.text import expected_one_of, key_values, plain_output

USAGE = """usage: python -m multimodal_lab.explore run=DIR [method=pca|umap|tsne] [out=FILE.html]

run     the directory of a finished run
method  how embeddings are laid out in two dimensions: pca, umap or tsne (minutes for thousands of samples)
out     the page to write (default: DIR/figures/explorer.html)

One page, readable from disk without a network: every stream and fused side by side, pictures, labels, nearest neighbours."""
METHODS: tuple[Literal["pca", "umap", "tsne"], ...] = ("pca", "umap", "tsne")
KEYS = ("run", "method", "out")


def problem(argv: list[str]) -> str:
    """What is wrong with the words of a command line, or nothing."""
    words, odd = key_values(argv)
    if odd:
        return f"{odd[0]}: expected KEY=VALUE"
    if unknown := [k for k in words if k not in KEYS]:
        return f"no {unknown[0]}=…; {expected_one_of(unknown[0], KEYS)}"
    if not words.get("run"):
        return "run=DIR is missing"
    method = words.get("method", "pca")
    if method not in METHODS:
        return f"method={method}: {expected_one_of(method, METHODS)}"
    out = words.get("out", "x.html")
    if not out.endswith(".html") or Path(out).is_dir():
        return f"out={out}: expected a file that ends in .html"
    if not Path(words["run"]).is_dir():
        return f"run={words['run']}: no such directory"
    if (Path(words["run"]) / "study.json").is_file():
        return f"run={words['run']}: this is a study; give the directory of one of its runs"
    return ""


def main() -> None:
    """The command line."""
    plain_output()
    argv = sys.argv[1:]
    if {"-h", "--help"} & set(argv):
        print(USAGE)
        return
    if wrong := problem(argv):
        sys.exit(f"error: {wrong}; see --help")
    words = key_values(argv)[0]
    method = next(m for m in METHODS if m == words.get("method", "pca"))
    folder = Path(words["run"])
    try:
        if (folder / DATA).exists():  # embeddings alone can be shown, too
            require_readable(folder)
        from multimodal_lab.report import explorer

        path = explorer.write(folder, Path(words["out"]) if "out" in words else None, method)
    except Exception as error:
        stage.leave(error, redact.text)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB; open it in a browser")


if __name__ == "__main__":
    main()
