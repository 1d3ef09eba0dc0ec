from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from multimodal_lab.build import build
from multimodal_lab.config.facts import fact
from multimodal_lab.types import Band, Batch, Stream

CONF = Path(__file__).parents[2] / "conf" / "augment"
EVERY = sorted(CONF.glob("*.yaml"))
# those with an op on whole batches need labels or words: test_augment_batchwise.py has them
FILES = [p for p in EVERY if not any(fact(op._target_, "adds_targets") for op in OmegaConf.load(p).ops.values())]
SIZE, STEPS = 20, 25


def streams(conf):
    """Streams that every op of a preset acts on: spectra where all of them take vectors; every kind where there is no op."""
    kinds = [set(fact(op._target_, "kinds", ("image",))) for op in conf.ops.values()]
    steps = STEPS if any(fact(op._target_, "steps") for op in conf.ops.values()) else None
    vector = {"spectrum": Stream("spectrum", "vector", tuple(Band(f"{i}") for i in range(12)), steps=steps)}
    text = {"text": Stream("text", "text", vocab=9, length=5)}
    image = {
        "rgb": Stream("rgb", "image", tuple(Band(b) for b in "RGB"), SIZE, steps),
        "uv": Stream("uv", "image", (Band("uR"), Band("uB")), SIZE, steps),
    }
    if not kinds:
        return {**image, **vector, **text}
    return vector if all("vector" in own for own in kinds) else image


def batch(of, rows=40):
    torch.manual_seed(0)
    shape = {"image": (SIZE, SIZE), "vector": ()}
    inputs = {
        k: torch.randint(1, 9, (rows, 5))
        if s.kind == "text"
        else torch.rand(rows, s.channels, *((s.steps,) if s.steps else ()), *shape[s.kind])
        for k, s in of.items()
    }
    present = {k: torch.ones(rows, dtype=torch.bool) for k in of}
    valid = {k: torch.ones(rows, s.steps, dtype=torch.bool) for k, s in of.items() if s.steps}
    return Batch(inputs, {}, present, torch.arange(rows), torch.arange(rows), valid=valid)


def load(path):
    return OmegaConf.load(path)


def made(conf, of):
    return build(instantiate(conf, _convert_="all"), streams=of)


def differ(x, y):
    """By far more than rounding."""
    return x.shape != y.shape or bool((x - y).abs().max() > 1e-3)


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_preset_builds_and_runs(path):
    conf = load(path)
    of = streams(conf)
    b = batch(of)
    out = made(conf, of)(b, 0, 0)
    assert len(out) == conf.views * 40
    for name, x in out.inputs.items():
        assert x.isfinite().all()
        if conf.ops:
            assert differ(x[:40], b.inputs[name])
        else:
            assert torch.equal(x, b.inputs[name])


def changed_knobs(op):
    """One other value for each knob of an op that acts."""
    other = {
        "sampling_method": "area_preserving",
        "border_type": "constant",
        "kernel_size": 5,
        "max_bands": 1,
        "bits": 6,
        "steps": 7,
        "patch_size": 8,
        "color": "pink",
    }
    for key, value in op.items():
        if key in ("_target_", "streams") or (key == "p" and len(op) == 2 and value == 1):
            continue
        if key in other:
            yield key, other[key]
        elif isinstance(value, bool):
            yield key, not value
        elif isinstance(value, list):
            yield key, [value[0] * 0.5 + 0.01, value[1] * 0.5 + 0.02]
        elif key in ("value", "fill", "mean"):
            yield key, 0.7
        else:
            yield key, value * 0.5 if value else 0.5


# one preset for each op: test_files_list_every_knob holds the others to the same knobs
CASES = list({op._target_: (path, name) for path in FILES for name, op in load(path).ops.items()}.values())


@pytest.mark.parametrize(("path", "name"), CASES, ids=lambda v: getattr(v, "stem", v))
def test_every_key_of_every_preset_is_live(path, name):
    conf = load(path)
    of = streams(conf)
    b = batch(of, rows=12)
    alone = OmegaConf.merge(conf, {})
    alone.ops = {name: conf.ops[name]}
    if "p" in alone.ops[name]:
        alone.ops[name].p = 0.9
    if not alone.ops[name]._target_.rpartition(".")[2].startswith(("Resize", "RandomResized")):
        alone.size = None
    base = made(alone, of)(b, 0, 0)
    for key, value in changed_knobs(OmegaConf.to_container(alone.ops[name])):
        other = OmegaConf.merge(alone, {"ops": {name: {key: value}}})
        out = made(other, of)(b, 0, 0)
        assert any(differ(base.inputs[k], out.inputs[k]) for k in of), key


def test_files_list_every_knob():
    import inspect

    from hydra.utils import get_class

    for path in EVERY:
        for name, op in load(path).ops.items():
            knobs = list(inspect.signature(get_class(op._target_)).parameters)
            assert [k for k in op if k != "_target_"] == knobs, (path.stem, name)
