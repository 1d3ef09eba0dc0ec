"""The two trainings that `clip.py` compares, each a process as a user starts it: `multimodal_lab.run` and `open_clip_train.main`.

Both train the same modules, open_clip's own CLIP of `MODEL`: ours has its two towers as backbones, its own loss in place of
open_clip's, and everything else as the command line builds it.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import open_clip
from _measure import peak_mb, reset_peak
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from multimodal_lab.fusion.separate import Separate
from multimodal_lab.head.projection import Projection
from multimodal_lab.keyed import Keyed
from multimodal_lab.system import System
from multimodal_lab.types import Features, Stream

NAME, WIDTH, CONTEXT = "clip-bench", 128, 32
MODEL = {
    "embed_dim": WIDTH,
    "vision_cfg": {"image_size": 64, "patch_size": 16, "width": 192, "layers": 4, "head_width": 64},
    "text_cfg": {"context_length": CONTEXT, "vocab_size": 49408, "width": 128, "heads": 2, "layers": 3},
}
RATE, DECAY, WARMUP = 5e-4, 0.2, 20
FIRST = 3  # steps before the first chunk
TICK = os.sysconf("SC_CLK_TCK")


def registered(folder: Path) -> None:
    """Have open_clip know `MODEL` by `NAME`, from a file, as it asks for."""
    (folder / f"{NAME}.json").write_text(json.dumps(MODEL))
    open_clip.add_model_config(folder / f"{NAME}.json")


def tokenizer(folder: Path) -> None:
    """open_clip's tokenizer in a directory of transformers: the same ids, but that what ends a text pads it, as OpenAI's does."""
    from transformers import CLIPTokenizer

    own = open_clip.SimpleTokenizer()
    begin, end = own.all_special_ids
    names = {begin: "<|startoftext|>", end: "<|endoftext|>"}
    vocab = {names.get(number, word): number for word, number in own.encoder.items()}
    CLIPTokenizer(vocab=vocab, merges=[*own.bpe_ranks], model_max_length=CONTEXT).save_pretrained(folder)


class Pictures(nn.Module):
    """The image tower, projected, as a backbone."""

    kinds, dim = ("image",), WIDTH

    def __init__(self, stream: Stream, *, visual: nn.Module) -> None:
        super().__init__()
        self.visual = visual

    def forward(self, x: Tensor) -> Features:
        return Features.from_vector(self.visual(x))


class Words(nn.Module):
    """The text tower, projected, as a backbone: what open_clip's CLIP is without its image tower and its temperature."""

    kinds, dim = ("text",), WIDTH

    def __init__(self, stream: Stream, *, model: Any) -> None:
        super().__init__()
        self.text = model
        model.visual = model.logit_scale = None

    def forward(self, x: Tensor) -> Features:
        return Features.from_vector(self.text.encode_text(x))


def system(streams: Mapping[str, Stream], loss: Keyed, model: Any) -> System:
    """Ours of `model`'s towers, which it takes over; their vectors are compared as they are."""
    pictures, words = partial(Pictures, visual=model.visual), partial(Words, model=model)
    head = partial(Projection, dim="auto", unprojected=list(streams))
    return System(
        streams, {}, backbone=pictures, backbones={"text": words}, fusion=partial(Separate), head=head, loss=loss
    )


class Watch:
    """Tells what each chunk of `steps` took, and waits, while all of its processes are stopped, until its next turn."""

    def __init__(self, steps: int, told: int, go: int) -> None:
        self.steps, self.told, self.go, self.count = steps, told, go, 0
        self.before = {"wall": time.perf_counter(), "cpu": 0.0, "thread": 0.0}

    def begin(self) -> None:
        """At the beginning of the loop."""

    def __call__(self, *_: Any) -> None:
        """After each step."""
        self.count += 1
        if self.count >= FIRST and (self.count - FIRST) % self.steps == 0:
            tell(self.told, {clock: now - self.before[clock] for clock, now in clocks().items()})
            os.read(self.go, 1)
            self.before = clocks()


def clocks() -> dict[str, float]:
    """Seconds: of the wall, of the CPU that this process and its workers had, and that the thread had that trains."""
    spent = time.process_time()
    for child in multiprocessing.active_children():
        fields = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
        spent += (int(fields[11]) + int(fields[12])) / TICK
    return {"wall": time.perf_counter(), "cpu": spent, "thread": time.thread_time()}


class Peak:
    """Tells the most memory of this process in the first step beyond what was there when the loop began, and its CPU time."""

    def __init__(self, told: int) -> None:
        self.told, self.before, self.spent = told, 0.0, 0.0

    def begin(self) -> None:
        """At the beginning of the loop."""
        self.before, self.spent = reset_peak(), time.thread_time()

    def __call__(self, *_: Any) -> None:
        """After each step, of which there is one."""
        tell(self.told, {"mb": peak_mb() - self.before, "thread": time.thread_time() - self.spent})


def tell(where: int, found: dict[str, float]) -> None:
    """A line of JSON."""
    os.write(where, json.dumps(found).encode() + b"\n")


def ours(words: list[str], watch: Watch | Peak) -> None:
    """The command line of a run, its towers exchanged."""
    import multimodal_lab.experiment.run as story
    from multimodal_lab.config.instantiate import safe_instantiate
    from multimodal_lab.run import main

    story.build_system = lambda cfg, data: system(
        data.streams, safe_instantiate(cfg.loss), open_clip.create_model(NAME, output_dict=True)
    )
    began(story, "fit", watch)
    sys.argv[1:] = words
    main()


def peer(words: list[str], watch: Watch | Peak) -> None:
    """open_clip's own command line."""
    import open_clip_train.main as story

    began(story, "train_one_epoch", watch)
    story.main(words)


def began(story: Any, name: str, watch: Watch | Peak) -> None:
    """Let `watch` know when the loop begins, and how each optimizer step ends."""
    loop = getattr(story, name)

    def train(*args: Any, **more: Any) -> Any:
        watch.begin()
        return loop(*args, **more)

    setattr(story, name, train)
    register_optimizer_step_post_hook(watch)


if __name__ == "__main__":
    side, folder, steps, told, go = sys.argv[1:6]
    registered(Path(folder))
    watch = Watch(int(steps), int(told), int(go)) if int(steps) else Peak(int(told))
    (ours if side == "ours" else peer)(sys.argv[6:], watch)
