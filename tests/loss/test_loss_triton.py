"""The kernels of a GPU without one: Triton's compiler takes them, and where it can't be had the same is computed without."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from multimodal_lab.device import triton
from multimodal_lab.loss.tiled import gpu

COMPILED = """
import importlib.util, sys
from triton import compile
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

spec = importlib.util.spec_from_file_location("kernels", sys.argv[1])
kernels = sys.modules["kernels"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(kernels)
KINDS = {"ids": "*i64", "place": "*i64", "seen": "*i1", "lift": "fp32"}
KINDS |= dict.fromkeys(("m", "n", "d", "number", "stride", "count"), "i32")
FLAGS = {"ITSELF": True, "BOTH": True, "DECOUPLED": True, "GROUP": 8, "PRECISION": "tf32x3", "B": 128}
for rows, edges, warps in (("*fp16", (32, 32, 32), 4), ("*fp32", (16, 16, 16), 4)):
    flags = FLAGS | dict(zip(("BM", "BN", "BK"), edges)) | {"rows": rows}
    for name in ("first", "merge", "second", "sigmoid"):
        kernel, signature, given = getattr(kernels, name), {}, {}
        for at, argument in enumerate(kernel.arg_names):
            if argument in flags and argument.isupper():
                signature[argument], given[(at,)] = "constexpr", flags[argument]
            elif argument in ("x", "y", "out"):
                signature[argument] = rows
            else:
                signature[argument] = KINDS.get(argument, KINDS.get(argument.rsplit("_", 1)[0], "*fp32"))
        source = ASTSource(fn=kernel, signature=signature, constexprs=given)
        compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": warps, "num_stages": 2})
print("compiled")
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="Triton brings no assembler for GPUs to other processors")
def test_a_compiler_takes_them(tmp_path):
    """Triton's interpreter forgives what its compiler does not; that needs no GPU."""
    pytest.importorskip("triton", reason="Triton is not installed: there is no compiler to ask")
    env = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"} | {"TRITON_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", COMPILED, str(Path(gpu.__file__).with_name("triton_kernels.py"))]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=250)
    assert done.stdout.strip() == "compiled", done.stderr[-3000:]


def test_where_they_cannot_be_made_it_is_said(monkeypatch):
    def broken(*arguments, **how):
        raise RuntimeError("no compiler\nmore")

    monkeypatch.setattr(triton, "launch", broken)
    said = r"a contrastive loss takes more time: no kernels for this GPU \(RuntimeError: no compiler\)"
    with pytest.warns(UserWarning, match=said):
        assert not gpu._works.__wrapped__(torch.device("cpu"), torch.float32)
