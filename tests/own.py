"""A package of someone else's: a backbone of vectors, one of text, a fusion without fused, a loss and an evaluator."""

from pathlib import Path

from multimodal_lab.config import facts, signature, targets
from multimodal_lab.config.extensions import extension_problems

PARTS = {
    "mlp": """
from torch import nn
from multimodal_lab.types import Features

class Mlp(nn.Module):
    kinds = ("vector",)

    def __init__(self, stream, *, width: int = 8, freeze: bool = False):
        super().__init__()
        self.layer, self.dim = nn.Linear(stream.channels, width), width

    def forward(self, x):
        return Features.from_vector(self.layer(x))
""",
    "bag": """
from torch import nn
from multimodal_lab.types import Features

class Bag(nn.Module):
    kinds = ("text",)

    def __init__(self, stream, *, width: int = 8, freeze: bool = False):
        super().__init__()
        self.words, self.dim = nn.Embedding(stream.vocab, width), width

    def forward(self, x):
        mask = x != 0
        tokens = self.words(x) * mask[..., None]
        return Features(tokens, tokens.sum(1) / mask.sum(1, keepdim=True).clamp(min=1), mask)
""",
    "apart_base": """
from multimodal_lab.fusion.separate import Separate

class Base(Separate):
    pass
""",
    "apart": """
from .apart_base import Base

class Apart(Base):
    pass  # it states nothing itself: it has what `Separate` states
""",
    "agree": """
from multimodal_lab.loss.simclr import simclr

views = 2

def agree(z, ids, present):
    return simclr(z, ids, present, 0.5)
""",
    "spread": """
class Spread:
    by = "name"
    scores = {"radius": "min"}
    shown = {"radius": "radius"}
    title = "Spread of the embeddings"

    def __call__(self, train, test):
        return {f"spread/{name}/radius": float((x ** 2).sum(1).mean() ** 0.5) for name, x in test.vectors.items()}
""",
}
ROOT = Path(__file__).parents[1]
CLASSES = {"mlp": "Mlp", "bag": "Bag", "apart": "Apart", "agree": "agree", "spread": "Spread"}
CONF = {
    "backbone/mlp": "_target_: own_lab.mlp.Mlp\n_partial_: true\nwidth: 8\nfreeze: false\n",
    "backbone/bag": "_target_: own_lab.bag.Bag\n_partial_: true\nwidth: 8\nfreeze: false\n",
    "fusion/apart": "_target_: own_lab.apart.Apart\n_partial_: true\n",
    "loss/agree": (
        "_target_: multimodal_lab.keyed.Keyed\nfn: {_target_: own_lab.agree.agree, _partial_: true}\nweight: 1.0\n"
        "z: out.projection\nids: batch.ids\npresent: present\n"
    ),
    "evaluate/spread": "spread:\n  _target_: own_lab.spread.Spread\n",
}


def write(folder: Path, **changed: str) -> Path:
    """The package and its conf/ in `folder`, installed as far as entry points go; returns conf/."""
    return install(folder, "own_lab", {**PARTS, **changed}, CLASSES, CONF)


def install(folder: Path, package: str, parts: dict[str, str], classes: dict[str, str], conf: dict[str, str]) -> Path:
    """A package of `parts` {module: source} whose `classes` {module: class} are entry points, and its `conf`."""
    source_folder, info = folder / package, folder / f"{package}-1.dist-info"
    for made in (source_folder, info):
        made.mkdir()
    (source_folder / "__init__.py").touch()
    for name, source in parts.items():
        (source_folder / f"{name}.py").write_text(source)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1\n")
    points = "\n".join(f"{name} = {package}.{name}:{cls}" for name, cls in classes.items())
    (info / "entry_points.txt").write_text(f"[multimodal_lab.targets]\n{points}\n")
    for name, text in conf.items():
        file = folder / "conf" / f"{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder / "conf"


def forget() -> None:
    """Empty every cache of what is installed and of what sources say."""
    for cached in (
        targets.entry_points, targets.extensions, targets.allowed, targets.near_allowed, extension_problems,
        signature.module_named, signature.signature, signature.call_signature, facts.declared,
    ):  # fmt: skip
        cached.cache_clear()
