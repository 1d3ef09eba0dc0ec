"""Which files of the package a call enters, traced with `sys.setprofile`.

python scripts/bench/_house_trace.py run|loss     prints JSON

A file is entered when a function of it is called; bodies of modules and classes, which imports run, are left out. A move
is a call into another file than the call before it. `run` is two steps on the embedded specimens without evaluators, up to
the first write below `checkpoints/`. `loss` is one InfoNCE value of 256 rows of 128 numbers (128 samples, two views),
float32 on the CPU, in a process that made one before.
"""

from __future__ import annotations

import inspect
import json
import os
import runpy
import sys
import tempfile
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).parents[2]
PACKAGE = "multimodal_lab"
LOSS = "simclr"  # the name of its config, which says where the function lives
COMPREHENSIONS = ("<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>")
RUN = [
    "fusion=attention", "modality=rgb_uv", "data.source.individuals=64", "data.source.size=32", "data.source.species=4",
    "data.split.stratify=species", "data.batch_size=16", "backbone.widths=[8,16]", "log=none", "figures=[]", "evaluate=[]",
    "train.max_steps=2",
]  # fmt: skip


class Trace:
    """Counts while it is on: `files` entered in order, and `moves` between them; this thread only."""

    def __init__(self) -> None:
        self.prefix = f"{ROOT / PACKAGE}{os.sep}"
        self.files: dict[str, int] = {}
        self.moves, self.last = 0, ""

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        """As `sys.setprofile` calls it."""
        file = frame.f_code.co_filename
        if event != "call" or not file.startswith(self.prefix) or not _in_function(frame):
            return
        self.files[file] = self.files.get(file, 0) + 1
        self.moves += bool(self.last) and file != self.last
        self.last = file

    def tell(self) -> str:
        """As JSON: {"files": names below the package, "moves": count}."""
        names = [file.removeprefix(self.prefix) for file in self.files]
        return json.dumps({"files": names, "moves": self.moves})


def _in_function(frame: FrameType) -> bool:
    """Whether a frame runs a function: not the body of a module or class, nor a comprehension in one."""
    while frame.f_code.co_name in COMPREHENSIONS and frame.f_back is not None:
        frame = frame.f_back
    return bool(frame.f_code.co_flags & inspect.CO_OPTIMIZED)


def trace_run(trace: Trace) -> None:
    """Train until something is written below checkpoints/, tell, and leave the process there and then."""
    told = os.dup(1)
    os.dup2(2, 1)  # what the run prints is no JSON

    def leave(event: str, args: tuple[Any, ...]) -> None:
        if event in {"open", "os.mkdir"} and isinstance(args[0], str) and f"{os.sep}checkpoints{os.sep}" in args[0]:
            sys.setprofile(None)
            os.write(told, trace.tell().encode())
            os._exit(0)

    with tempfile.TemporaryDirectory() as folder:
        sys.argv = ["run", *RUN, f"dir={folder}/run"]
        sys.addaudithook(leave)
        sys.setprofile(trace)
        runpy.run_module(f"{PACKAGE}.run", run_name="__main__", alter_sys=True)


def trace_loss(trace: Trace) -> None:
    """One value of the loss that conf/loss names."""
    import torch
    import yaml
    from hydra.utils import get_method

    config = yaml.safe_load((ROOT / "conf" / "loss" / f"{LOSS}.yaml").read_text())
    function, temperature = get_method(config["fn"]["_target_"]), config["temperature"]
    z, ids = torch.nn.functional.normalize(torch.randn(256, 128), dim=-1), torch.arange(128).repeat(2)
    words: tuple[Any, ...] = ({"fused": z}, ids, {"fused": torch.ones(256, dtype=torch.bool)}, temperature)
    function(*words)  # lazy imports and memos of a first call
    sys.setprofile(trace)
    function(*words)
    sys.setprofile(None)
    print(trace.tell())


if __name__ == "__main__":
    {"run": trace_run, "loss": trace_loss}[sys.argv[1]](Trace())
