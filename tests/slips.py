"""A package whose parts are sound but for one slip each, made where the config or the environment says."""

from pathlib import Path

import own

SLIP = "import os\n\ndef slips(asked, here):\n    return here in (asked, os.environ.get('SLIP'))\n"
PARTS = {
    "where": SLIP,
    "film": """
from torch import nn
from multimodal_lab.types import Features
from .where import slips

class Film(nn.Module):
    kinds = ("image",)

    def __init__(self, stream, *, width: int = 8, fails: str = ""):
        super().__init__()
        self.layer, self.dim, self.fails, self.name = nn.Linear(stream.channels, width), width, fails, stream.name
        if stream.name == "uv" and slips(fails, "backbone build"):
            self.bands = {"rgb": 3}["rbg"]

    def forward(self, x):
        if self.name == "uv" and slips(self.fails, "backbone step"):
            x = {"rgb": x}["rbg"]
        return Features.from_vector(self.layer(x.mean((2, 3))))
""",
    "join": """
from multimodal_lab.fusion.concat import Concat
from .where import slips

class Join(Concat):
    def __init__(self, dims, *, width: int = 8, fails: str = ""):
        super().__init__(dims, width=width)
        self.fails = fails
        if slips(fails, "fusion build"):
            self.first = dims["rbg"]

    def forward(self, features):
        if slips(self.fails, "fusion step"):
            features = features["rbg"]
        return super().forward(features)
""",
    "sign": """
from torch import nn
from .where import slips

class Sign(nn.Module):
    def __init__(self, dims, *, fails: str = ""):
        super().__init__()
        self.fails = fails
        if slips(fails, "head build"):
            self.first = dims["rbg"]
        self.layers = nn.ModuleDict({name: nn.Linear(dim, 4) for name, dim in dims.items()})

    def forward(self, features, batch):
        if slips(self.fails, "head step"):
            features = features["rbg"]
        return {name: self.layers[name](f.pooled) for name, f in features.items()}
""",
    "pull": """
import torch
from torch import nn
from .where import slips

class Pull(nn.Module):
    def __init__(self, fails: str = ""):
        super().__init__()
        self.fails = fails
        if slips(fails, "loss build"):
            self.first = {}["rbg"]

    def forward(self, z):
        if slips(self.fails, "loss step"):
            z = z["rbg"]["rgb"]
        loss = sum(x.pow(2).mean() for x in z.values())
        return loss if torch.is_grad_enabled() or not slips(self.fails, "loss held out") else loss * torch.nan
""",
    "drawer": """
from multimodal_lab.data.synthetic.specimens import Specimens
from .where import slips

class Drawer(Specimens):
    def __init__(self, *, individuals: int = 24, species: int = 4, size: int = 16, fails: str = ""):
        super().__init__(individuals=individuals, species=species, size=size)
        self.fails = fails
        if slips(fails, "data build"):
            self.first = {}["rbg"]

    def read(self, index, streams):
        if slips(self.fails, "data read"):
            index = {"rgb": index}["rbg"]
        return super().read(index, streams)
""",
    "judge": """
from pathlib import Path
from hydra.core.hydra_config import HydraConfig
from .where import slips

class Judge:
    by = "name"
    scores = {"size": "max"}

    def __init__(self, fails: str = ""):
        self.fails = fails

    def __call__(self, train, test):
        if slips(self.fails, "evaluator"):
            return train.vectors["rbg"]
        if slips(self.fails, "figure"):  # a file where the directory of the figures should be
            (Path(HydraConfig.get().runtime.output_dir) / "figures").write_text("")
        return {f"judge/{name}/size": float(x.std()) for name, x in test.vectors.items()}
""",
}
CLASSES = {"film": "Film", "join": "Join", "sign": "Sign", "pull": "Pull", "drawer": "Drawer", "judge": "Judge"}
CONF = {
    "backbone/film": "_target_: own_slip.film.Film\n_partial_: true\nfails: ${name}\n",
    "fusion/join": "_target_: own_slip.join.Join\n_partial_: true\nfails: ${name}\n",
    "head/sign": "_target_: own_slip.sign.Sign\n_partial_: true\nfails: ${name}\n",
    "loss/pull": (
        "_target_: multimodal_lab.keyed.Keyed\nfn: {_target_: own_slip.pull.Pull, fails: '${name}'}\nweight: 1.0\n"
        "z: out.sign\n"
    ),
    "evaluate/judge": "judge: {_target_: own_slip.judge.Judge, fails: '${name}'}\n",
    "data/drawer": (
        "defaults: [_base, {scaling: dtype_max}, _self_]\nroot: null\n"
        "source: {_target_: own_slip.drawer.Drawer, fails: '${name}'}\nsplit: {by: individual, train: 0.5, test: 0.4}\n"
        "labels: [species]\nbatch_size: 8\ncache: false\n"
    ),
}
WORDS = [
    "backbone=film", "fusion=join", "head=sign", "loss=pull", "data=drawer", "evaluate=[judge]", "augment=none",
    "log=none", "figures=[pca]", 
]  # fmt: skip


def write(folder: Path) -> Path:
    """The package in `folder` and its conf/, which is returned."""
    return own.install(folder, "own_slip", PARTS, CLASSES, CONF)
