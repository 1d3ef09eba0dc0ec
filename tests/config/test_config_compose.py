"""What is remembered of a composition is what Hydra would compose anew; bad values are refused as Hydra refuses them."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import pytest
from hydra import compose as hydras_compose
from hydra import initialize_config_dir
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from multimodal_lab.config import compose, resolvers
from multimodal_lab.config.check import SweepJobs
from multimodal_lab.config.overrides import groups
from multimodal_lab.config.targets import conf_dir

LINES = [
    [word for word in re.split(r" (?![^{]*\})", line) if word]  # a dict in braces is one word
    for line in (Path(__file__).parent / "valid_lines.txt").read_text().splitlines()
    if line[:1] not in "#"
]
SINGLE = [line for line in LINES if not any(w.startswith("-") or ",".join(w.split("=")[1:]).count(",") for w in line)]
SET = (
    "seed=3 ++name=a +modality.nir={kind: image, bands: [NIR]} ~optim.lr_scale optim.betas=[0.8,0.9] "
    "+optim.lr_scale={fusion: 1.0}",
    "+backbone@backbones.uv=vit_small evaluate=[knn] modality.rgb.bands=[R] ++heads.x={a: 1} name='1' loss.z='a,b'",
)
SET_LINES = [re.split(r" (?![^{]*\})", line) for line in SET]


@pytest.fixture
def nothing_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    resolvers.register()
    monkeypatch.setattr(compose, "_composed", {})


def theirs(words: list[str]) -> DictConfig:
    with initialize_config_dir(str(conf_dir()), job_name="run", version_base="1.3"):
        return hydras_compose("config", words, return_hydra_config=True)


def plain(cfg: DictConfig) -> str:
    return OmegaConf.to_yaml(cfg, resolve=False)


def test_the_same_config_as_hydra_composes(nothing_yet: None) -> None:
    assert len(SINGLE) >= 30
    for words in [
        *SINGLE[::12],
        *SET_LINES,
        ["fusion=concat", "seed=3"],
        ["seed=4", "fusion.width=32", "fusion=concat"],
    ]:
        expected = plain(theirs(words))
        for _ in range(2):  # composed, and remembered
            assert plain(compose.hydra().compose_config("config", words, RunMode.RUN)) == expected


def test_one_composition_for_each_set_of_choices(nothing_yet: None) -> None:
    hydra = compose.hydra()
    for seed in (0, 1, 1):
        cfg = hydra.compose_config("config", ["fusion=concat", f"seed={seed}"], RunMode.RUN)
        assert cfg.seed == seed
        assert cfg.hydra.overrides.task == ["fusion=concat", f"seed={seed}"]
        assert cfg.fusion.get("width") != 7
        with open_dict(cfg):
            cfg.fusion.width = 7  # a job may change its own
    assert len(compose._composed) == 1
    hydra.compose_config("config", ["fusion=separate"], RunMode.RUN)
    assert len(compose._composed) == 2


def test_a_run_takes_the_config_that_was_checked(nothing_yet: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assigned: list[str] = []
    original = compose.CachingLoader._apply_overrides_to_config
    monkeypatch.setattr(
        compose.CachingLoader,
        "_apply_overrides_to_config",
        staticmethod(lambda values, cfg: (assigned.extend(v.input_line for v in values), original(values, cfg))),
    )
    jobs = SweepJobs("config", (conf_dir(),), groups((conf_dir(),)))
    assert not jobs.problems([compose.read("seed=5")], multirun=False)
    assert jobs.hydra.compose_config(jobs.name, jobs.lines, RunMode.RUN).seed == 5
    assert assigned == ["seed=5"]


def test_a_loader_can_be_sent_to_another_process(nothing_yet: None) -> None:
    hydra = compose.hydra()
    hydra.compose_config("config", ["seed=1"], RunMode.RUN)
    again = pickle.loads(pickle.dumps(hydra.config_loader))  # as a launcher sends it
    assert again.load_configuration("config", ["seed=2"], RunMode.RUN).seed == 2


def test_a_folder_of_ones_own_is_looked_into(tmp_path: Path) -> None:
    (tmp_path / "fusion").mkdir()
    (tmp_path / "fusion" / "mine.yaml").write_text("x: 1\n")
    assert compose.hydra([conf_dir(), tmp_path]).compose_config("config", ["fusion=mine"], RunMode.RUN).fusion == {
        "x": 1
    }


def test_an_empty_list_of_trackers_or_evaluators_is_none(composed) -> None:
    cfg = composed("log=[]", "evaluate=[]", small=False)
    assert cfg.log == {}
    assert cfg.evaluate == {}
