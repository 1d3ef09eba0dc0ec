"""timm models with any bands, and where their weights come from."""

import copy

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from multimodal_lab.backbone import weights as files
from multimodal_lab.backbone.image import Image
from multimodal_lab.types import Band, Stream

RGB = ["R|B04", "G|B03", "B|B02"]
MODELS = ["test_vit", "test_resnet", "test_convnext"]
SHAPES = [
    "test_vit", "test_vit2", "test_vit3", "test_vit4", "test_vit_relpos", "test_resnet", "test_convnext", "test_nfnet",
    "test_efficientnet", "test_byobnet", "test_mambaout", "mobilenetv3_small_050", "vit_tiny_patch16_dinov3_qkvb",
    "levit_128s", "test_coatnet",
]  # fmt: skip
NO_GRID = [("pit_ti_224", 224, 256), ("crossvit_tiny_240", 240, 288)]


def stream(*names, size=32):
    return Stream("s", bands=tuple(Band(n) for n in names), size=size)


def build(name, s, **more):
    return Image(s, **{"model": name, "pretrained_bands": RGB} | more)


@pytest.fixture(scope="session")
def pretrained(tmp_path_factory):
    """Made-up pretrained files: timm's own models of three bands and a classifier, random but fixed."""
    folder = tmp_path_factory.mktemp("weights")

    def make(name):
        path = folder / f"{name}.safetensors"
        if not path.exists():
            torch.manual_seed(0)
            state = timm.create_model(name, num_classes=10).state_dict()
            if "cls_token" in state:
                state["cls_token"].normal_()
            save_file(state, path)
        return str(path)

    return make


@pytest.mark.parametrize("name", SHAPES)
def test_any_timm_model_has_grid_tokens_and_one_width_and_no_idle_parameter(name):
    torch.manual_seed(0)
    net = build(name, stream("R", "G", "UV", "B", size=64))
    f = net(torch.randn(2, 4, 64, 64))
    side = round(f.tokens.shape[1] ** 0.5)
    assert f.tokens.shape == (2, side * side, net.dim)
    assert f.pooled.shape == (2, net.dim)
    for read in (f.tokens, f.pooled):
        net.zero_grad(set_to_none=True)
        (read**3).sum().backward(retain_graph=True)
        assert not [n for n, p in net.named_parameters() if p.grad is None]


@pytest.mark.parametrize("name", [*SHAPES, "csatv2"])
def test_the_pooled_vector_is_the_models_own_embedding(name):
    torch.manual_seed(0)
    net = build(name, stream("R", "G", "B", size=64)).eval()
    for p in net.parameters():  # norms and positions start as constants, which would hide one that is left out
        p.data.add_(0.1 * torch.randn_like(p))
    x = torch.randn(2, 3, 64, 64)
    own = net.model.forward_head(net.model.forward_features(x), pre_logits=True)
    torch.testing.assert_close(net(x).pooled, own.flatten(1), rtol=1e-5, atol=1e-5)
    assert net.dim == own.flatten(1).shape[1]


@pytest.mark.parametrize("name", ["mobilenetv4_conv_small_035", "efficientvit_b0", "test_resnet"])
def test_running_statistics_are_those_of_the_models_own_pass(name):
    torch.manual_seed(0)
    net = build(name, stream("R", "G", "B", size=64)).train()
    peer, x = copy.deepcopy(net.model), torch.randn(4, 3, 64, 64)
    net(x)
    peer.forward_head(peer.forward_features(x), pre_logits=True)
    own = dict(peer.named_buffers())
    assert all(torch.equal(b, own[k]) for k, b in net.model.named_buffers() if "running" in k)


@pytest.mark.parametrize(("name", "size", "dim"), NO_GRID)
def test_a_model_without_a_grid_gives_one_token_its_embedding(name, size, dim):
    net = build(name, stream("R", "G", "B", size=size)).eval()
    f = net(torch.randn(1, 3, size, size))
    assert net.dim == dim
    assert torch.equal(f.tokens[:, 0], f.pooled)
    assert f.tokens.shape == (1, 1, dim)


@pytest.mark.parametrize(("name", "size"), [("halonet_h1", 64), ("inception_v3", 32), ("test_vit", None)])
def test_what_a_model_can_take_is_known_before_data_are_read(name, size):
    if size is None:
        return Image.require_possible(name, None)
    with pytest.raises(
        ValueError, match=rf"backbone.model={name} can't take images of {size} px and 3 bands: .+ made for \d+ px"
    ):
        Image.require_possible(name, size, freeze=True)
    state = torch.get_rng_state()
    Image.require_possible(name, 299 if "inception" in name else 256)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("name", MODELS)
def test_the_same_picture_gives_the_same_features_in_any_order_of_bands(name, pretrained):
    file = pretrained(name)
    torch.manual_seed(1)
    x = torch.randn(2, 3, 32, 32)
    want = build(name, stream("R", "G", "B"), weights=file).eval()(x)
    for names, order in ((("G", "B", "R"), [1, 2, 0]), (("B02", "B03", "B04"), [2, 1, 0])):
        f = build(name, stream(*names), weights=file).eval()(x[:, order])
        torch.testing.assert_close(f.pooled, want.pooled, rtol=1e-4, atol=1e-5)
    five = build(name, stream("U", "R", "G", "V", "B"), weights=file, new_bands="zero").eval()
    f = five(torch.cat([torch.randn(2, 1, 32, 32), x[:, :2], torch.randn(2, 1, 32, 32), x[:, 2:]], 1))
    torch.testing.assert_close(f.pooled, want.pooled, rtol=1e-4, atol=1e-5)
    wrong = build(name, stream("R", "G", "B"), weights=file).eval()(x[:, [2, 1, 0]])
    assert (wrong.pooled - want.pooled).abs().max() > 1e-4  # order does matter where names don't follow


@pytest.mark.parametrize("name", MODELS)
def test_loaded_weights_give_what_timm_gives(name, pretrained):
    state = load_file(pretrained(name))
    extra = {"img_size": 160} if "vit" in name else {}
    peer = timm.create_model(name, num_classes=10, **extra).eval()
    peer.load_state_dict(state)
    size = 160 if "vit" in name else 32
    net = build(name, stream("R", "G", "B", size=size), weights=pretrained(name)).eval()
    x = torch.randn(2, 3, size, size)
    torch.testing.assert_close(net(x).pooled, peer.forward_head(peer.forward_features(x), pre_logits=True))


@pytest.mark.parametrize("c", [2, 7, 408])
def test_pretrained_weights_on_any_number_of_bands(c, pretrained):
    s = stream(*["R", "G", "B"][: min(c, 3)], *(f"x{i}" for i in range(c - 3)))
    f = build("test_vit", s, weights=pretrained("test_vit"))(torch.randn(1, c, 32, 32))
    assert f.pooled.isfinite().all()


def test_pool_and_prefix_tokens():
    torch.manual_seed(0)
    x = torch.randn(2, 3, 64, 64)
    net = build("vit_tiny_patch16_dinov3_qkvb", stream("R", "G", "B", size=64), pool="mean").eval()
    found = net.model.forward_features(x)
    assert net.prefix == 5  # class and four registers
    assert found.shape[1] == 16 + 5
    f = net(x)
    assert torch.equal(f.tokens, found[:, 5:])
    torch.testing.assert_close(f.pooled, found[:, 5:].mean(1))
    net.pool = "cls"
    torch.testing.assert_close(net(x).pooled, found[:, 0])
    with pytest.raises(ValueError, match="no grid; choose auto"):
        build("pit_ti_224", stream("R", size=224), pool="cls")(torch.randn(1, 1, 224, 224))
    with pytest.raises(ValueError, match="test_resnet has no class token"):
        build("test_resnet", stream("R"), pool="cls")


@pytest.mark.parametrize(
    ("name", "size", "fit"),
    [("test_vit", 120, "112 or 128 or 224"), ("test_vit", 10, "16 or 224"), ("test_convnext", 30, "28 or 32 or 224"),
     ("vit_tiny_patch16_dinov3_qkvb", 120, "112 or 128 or 224"), ("test_vit", 250, "240 or 256")],
)  # fmt: skip
def test_a_patch_that_does_not_divide_is_refused_with_the_sizes_that_do(name, size, fit):
    with pytest.raises(ValueError, match=f"doesn't divide images of {size} px.*sizes that do, by data.size .*: {fit}$"):
        build(name, stream("R", size=size))


def test_a_resnet_takes_any_size():
    assert build("test_resnet", stream("R", size=37))(torch.randn(2, 1, 37, 37)).pooled.isfinite().all()


def test_wrong_names_are_refused_with_the_nearest():
    with pytest.raises(ValueError, match=r"nearest: .*resnet18"):
        build("resnet81", stream("R"))
    with pytest.raises(ValueError, match="no such model"):
        build("hf-hub:someone/resnet18", stream("R"))
    with pytest.raises(ValueError, match="no such model"):
        build("resnet18.no_such_tag", stream("R"))


def test_missing_weights_say_where_and_how(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hf"))
    with pytest.raises(FileNotFoundError) as error:
        build("vit_small_patch16_dinov3.lvd1689m", stream("R"), weights="cache")
    for part in (
        str(tmp_path / "hf"),
        "hf download timm/vit_small_patch16_dinov3.lvd1689m model.safetensors",
        "random",
    ):
        assert part in str(error.value)
    with pytest.raises(FileNotFoundError, match="timm knows no pretrained weights"):
        build("test_vit_relpos", stream("R"), weights="cache")
    with pytest.raises(FileNotFoundError, match="no such file"):
        build("test_vit", stream("R"), weights=str(tmp_path / "none.safetensors"))
    with pytest.raises(FileNotFoundError, match="no such file"):  # before data are read
        Image.require_possible("test_vit", None, weights=str(tmp_path / "none.safetensors"))
    with pytest.raises(
        FileNotFoundError,
        match=r"no weights for vit_large_patch16_dinov3\.sat493m; looked for .*facebook/dinov3-vitl16",
    ):
        Image.require_possible("vit_large_patch16_dinov3.sat493m", 128, weights="cache")
    with pytest.raises(ValueError, match="expected random, cache, a directory of timm or transformers, or a file"):
        build("test_vit", stream("R"), weights="imagenet")


def test_the_cache_is_read(tmp_path, monkeypatch):
    state = timm.create_model("resnet18").state_dict()
    cfg = timm.get_pretrained_cfg("resnet18").to_dict()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    torch.save(state, tmp_path / "hub" / "checkpoints" / cfg["url"].rpartition("/")[2])
    net = build("resnet18", stream("B", "G", "R"), weights="cache")
    assert torch.equal(net.model.conv1.weight, state["conv1.weight"].flip(1))
    snapshot = tmp_path / "hf" / f"models--{cfg['hf_hub_id'].replace('/', '--')}"
    (snapshot / "snapshots" / "abc").mkdir(parents=True)
    (snapshot / "refs").mkdir()
    (snapshot / "refs" / "main").write_text("abc")
    state["conv1.weight"] += 1
    save_file(state, snapshot / "snapshots" / "abc" / "model.safetensors")
    assert files.locate("cache", cfg, "resnet18").name == "model.safetensors"


def test_wrappers_and_prefixes_are_seen_through_and_misfits_are_not(tmp_path, pretrained):
    state = load_file(pretrained("test_resnet"))
    path = tmp_path / "w.pth"
    torch.save({"epoch": 3, "state_dict": {f"module.{k}": v for k, v in state.items()}}, path)
    net = build("test_resnet", stream("R", "G", "B"), weights=str(path))
    assert torch.equal(net.model.conv1[0].weight, state["conv1.0.weight"])
    bad = {k: v for k, v in state.items() if "layer4" not in k} | {"extra.weight": torch.ones(1)}
    bad["layer1.0.bn1.bias"] = torch.ones(3)
    torch.save(bad, path)
    with pytest.raises(
        ValueError, match=r"missing \(first: layer4.*1 not in the model.*extra.*1 of another shape.*\(3,\)"
    ):
        build("test_resnet", stream("R"), weights=str(path))
    for other in ("test_vit", "test_convnext"):
        with pytest.raises(ValueError, match="missing"):
            build(other, stream("R"), weights=pretrained("test_resnet"))


def test_a_hostile_or_broken_file_is_refused_and_runs_nothing(tmp_path):
    marker = tmp_path / "ran"

    class Evil:
        def __reduce__(self):
            return (open, (str(marker), "w"))

    for name, write in {
        "evil.pt": lambda p: torch.save({"state_dict": {"a": Evil()}}, p),
        "text.pt": lambda p: p.write_text("hello"),
        "empty.safetensors": lambda p: p.write_bytes(b""),
        "list.pt": lambda p: torch.save([1, 2], p),
    }.items():
        write(tmp_path / name)
        with pytest.raises(ValueError, match=name):
            build("test_vit", stream("R"), weights=str(tmp_path / name))
    assert not marker.exists()


def test_frozen_running_statistics_stay_after_train(pretrained):
    net = build("test_resnet", stream("R", "G", "B"), weights=pretrained("test_resnet"), freeze=True)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    torch.nn.Sequential(net).train()
    assert net(torch.randn(4, 3, 32, 32)).pooled.grad_fn is None
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


def test_checkpointing_and_drop_path_are_passed_on():
    net = build("test_vit", stream("R"), drop_path=0.2, checkpointing=True)
    assert net.model.grad_checkpointing
    assert max(getattr(m, "drop_prob", 0) for m in net.modules()) == pytest.approx(0.2)


def test_the_weights_own_mean_and_std_are_told(tmp_path, pretrained):
    how = {"pretrained_bands": RGB, "model": "vit_base_patch16_clip_224.openai"}
    for model in ("vit_large_patch16_dinov3.sat493m", "vit_7b_patch16_dinov3.sat493m"):
        found = Image.normalisation(model, "cache", RGB)
        assert (found["mean"], found["std"]) == ([0.430, 0.411, 0.296], [0.213, 0.156, 0.143])
    found = Image.normalisation(weights="cache", **how)
    assert found["mean"] == pytest.approx([0.481, 0.458, 0.408], abs=1e-3)  # CLIP's, not ImageNet's
    assert found["bands"] == RGB
    (tmp_path / "model.safetensors").write_bytes(b"")
    (tmp_path / "config.json").write_text('{"pretrained_cfg": {"mean": [0.1, 0.2, 0.3], "std": [1, 2, 3]}}')
    for path in (tmp_path, tmp_path / "model.safetensors"):
        assert Image.normalisation(weights=str(path), **how)["mean"] == [0.1, 0.2, 0.3]
    with pytest.raises(ValueError, match=r"weights=random have no mean and std of their own"):
        Image.normalisation(weights="random", **how)
