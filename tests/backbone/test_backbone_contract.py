"""Every backbone of conf/: shape, width, gradients, independence of rows."""

from pathlib import Path

import pytest
import timm
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from multimodal_lab.build import build
from multimodal_lab.types import Band, Stream

CONF = Path(__file__).parents[2] / "conf" / "backbone"
NAMES = sorted(p.stem for p in CONF.glob("*.yaml"))
KIND = {"vector": "vector", "spectral": "vector", "text": "text"}
SMALL = {
    "convnet": [],
    "shared": [],
    "hyperspectral": [],
    "vector": [],
    "spectral": [],
    "text": ["dropout=0"],
    "image": ["model=test_vit"],
    "resnet18": ["model=test_resnet"],
    "convnext_tiny": ["model=test_convnext"],
}


def stream(name="s", kind="image", c=5, size=32):
    bands = tuple(Band(f"b{i}", 400.0 + i) for i in range(c))
    text = {"vocab": 11, "length": 7} if kind == "text" else {}
    return Stream(name, kind, () if kind == "text" else bands, size if kind == "image" else None, **text)


def composed(name, overrides=()):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(name, list(overrides))


def made(name, s, overrides=()):
    """A callable {x -> Features} and its module, `shared` looked at through one of its streams."""
    torch.manual_seed(0)
    factory = instantiate(composed(name, overrides), _convert_="all")
    if name == "shared":
        module = build(factory, streams={"s": s, "t": stream("t", c=2, size=48)})
        return module, (lambda x: module({"s": x, "t": torch.ones(len(x), 2, 48, 48)})["s"]), module.dims["s"]
    module = build(factory, stream=s)
    return module, module, module.dim


def draw(s, n):
    if s.kind == "text":
        x = torch.randint(1, s.vocab, (n, s.length))
        x[0, 4:] = 0
        return x
    shape = (s.channels, s.size, s.size) if s.kind == "image" else (s.channels,)
    return torch.randn(n, *shape)


@pytest.mark.parametrize("name", NAMES)
def test_every_file_composes_and_builds(name):
    cfg = composed(name)
    assert instantiate(cfg, _convert_="all").keywords
    if "model" in cfg:
        assert cfg.model in {*timm.list_models(), *timm.list_models(pretrained=True)}
        assert cfg.weights == ("cache" if name.startswith("dinov3") else "random")
    if name in SMALL:
        assert made(name, stream(kind=KIND.get(name, "image")))[2] >= 128


@pytest.mark.parametrize("c", [1, 408])
@pytest.mark.parametrize("name", SMALL)
def test_shape_and_the_claimed_width(name, c):
    s = stream(kind=KIND.get(name, "image"), c=c)
    _, call, dim = made(name, s, SMALL[name])
    f = call(draw(s, 3))
    n, length, width = f.tokens.shape
    assert (n, width) == (3, dim)
    assert f.pooled.shape == (3, dim)
    assert f.mask.shape == (3, length)
    assert f.mask.dtype == torch.bool
    assert f.tokens.isfinite().all()
    assert f.pooled.isfinite().all()


@pytest.mark.parametrize("name", SMALL)
def test_gradient_reaches_every_parameter_from_tokens_and_from_pooled_alone(name):
    s = stream(kind=KIND.get(name, "image"))
    module, call, _ = made(name, s, SMALL[name])
    f = call(draw(s, 4))
    for read in (f.tokens, f.pooled):
        module.zero_grad(set_to_none=True)
        (read**3).sum().backward(retain_graph=True)
        assert not [n for n, p in module.named_parameters() if p.grad is None and not n.startswith("stems.t")]


@pytest.mark.parametrize("name", [n for n in SMALL if n != "resnet18"])
def test_no_row_leaks_into_another_even_in_training(name):
    s = stream(kind=KIND.get(name, "image"))
    _, call, _ = made(name, s, SMALL[name])
    x = draw(s, 4)
    changed = x.clone()
    changed[2:] = 0
    a, b = call(x), call(changed)
    torch.testing.assert_close(a.pooled[:2], b.pooled[:2], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(a.tokens[:2], b.tokens[:2], rtol=1e-4, atol=1e-5)
    assert ((a.pooled[2:] - b.pooled[2:]).abs().amax(1) > 1e-2).all()


@pytest.mark.parametrize("name", SMALL)
def test_a_missing_row_is_finite_and_so_are_its_gradients(name):
    s = stream(kind=KIND.get(name, "image"))
    module, call, _ = made(name, s, SMALL[name])
    f = call(torch.zeros_like(draw(s, 2))).keep(torch.tensor([False, False]))
    assert not f.tokens.any()
    (f.tokens.sum() + f.pooled.sum()).backward()
    used = [p.grad for n, p in module.named_parameters() if not n.startswith("stems.t")]
    assert all(g is not None and g.isfinite().all() for g in used)


@pytest.mark.parametrize("name", SMALL)
def test_freeze_freezes(name):
    s = stream(kind=KIND.get(name, "image"))
    module, call, _ = made(name, s, [*SMALL[name], "freeze=true"])
    before = {k: v.clone() for k, v in module.state_dict().items()}
    module.train()
    assert call(draw(s, 4)).pooled.grad_fn is None
    assert all(torch.equal(v, before[k]) for k, v in module.state_dict().items())


@pytest.mark.parametrize("name", SMALL)
def test_a_stream_of_another_kind_is_refused_with_those_that_read_it(name):
    kind = KIND.get(name, "image")
    for other in {"image", "vector", "text"} - {kind}:
        with pytest.raises(ValueError, match=f"reads {kind} streams, but stream 's' is {other}: choose "):
            made(name, stream(kind=other), SMALL[name])
