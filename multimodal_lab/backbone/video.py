"""torchvision's video models, with any number of input bands."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from multimodal_lab.backbone import weights as pretrained
from multimodal_lab.backbone.clips import Seen, encode, first_convolution, inflated
from multimodal_lab.backbone.freeze import freeze as freeze_module
from multimodal_lab.backbone.kind import require
from multimodal_lab.bounds import Fraction
from multimodal_lab.types import Band, Features, Stream

Model = Literal["r3d_18", "mc3_18", "r2plus1d_18", "s3d", "mvit_v2_s", "swin3d_t", "swin3d_s", "swin3d_b"]
CLASSIFIER = ("fc", "classifier", "head")  # what its families call it
FRAMES = 16  # that a size is tried with: MViT was made for so many


class Video(nn.Module):
    """A video model of torchvision without its classifier, its first convolution laid for the bands of the stream.

    r3d_18, mc3_18, r2plus1d_18 (Tran et al. 2018), s3d (Xie et al. 2018), mvit_v2_s (Li et al. 2022), swin3d_t, _s, _b (Liu et
    al. 2022). weights: "random" (asked for by name: it never happens because a file is missing); "cache" (what this machine's
    torch cache holds; the network is never asked); or a path to .safetensors, .pt, .pth or .bin. Pretrained kernels are laid by
    band name, see `inflate`. Tokens are the places of the last map, one grid after another in time; pooled is their mean, of
    MViT its class token. They know no mask: of each clip they see `steps` of the stream, of a shorter one each real frame
    several times, evenly; padding and gaps have no part.
    """

    kinds = ("image",)
    steps = True
    initial: ClassVar[dict[str, str]] = {"weights": "random"}

    model: Any  # of torchvision: its parts differ by family

    def __init__(
        self,
        stream: Stream,
        *,
        model: Model = "r3d_18",
        weights: str = "random",
        pretrained_bands: list[str],
        new_bands: Literal["mean", "nearest", "zero", "random"] = "mean",
        band_correlation: Fraction = 0.0,
        freeze: bool = False,
    ) -> None:
        super().__init__()
        require(self, stream)
        self.frames = stream.steps or FRAMES
        self.model = create(model, stream.size or 0, self.frames)
        self.dim = _strip(self.model)
        conv = first_convolution(self.model)
        if weights == "random":
            fresh = nn.Conv3d(stream.channels, conv.out_channels, conv.kernel_size)
            nn.init.kaiming_normal_(fresh.weight, mode="fan_out", nonlinearity="relu")
            conv.weight = fresh.weight
        else:
            path = pretrained.locate(weights, _published(model), model)
            state = pretrained.translate(pretrained.read(path), self.model, {"classifier": CLASSIFIER}, path)
            name = next(n for n, m in self.model.named_modules() if m is conv)
            if (key := f"{name}.weight") in state:
                state[key] = inflated(state[key], stream, pretrained_bands, new_bands, band_correlation)
                conv.weight = nn.Parameter(torch.empty_like(state[key]))
            pretrained.load(self.model, state, path)
        conv.in_channels = stream.channels
        if freeze:
            freeze_module(self)

    @staticmethod
    def normalisation(model: str, weights: str, pretrained_bands: list[str], **_: Any) -> dict[str, Any]:
        """What torchvision's weights were trained to be normalised by: mean and std, 0 to 1, of `bands`, and `of`."""
        if weights == "random":
            raise ValueError(
                "normalise=backbone: backbone.weights=random have no mean and std of their own; choose weights, or "
                "normalise=train or {mean, std}"
            )
        own = pretrained.statistics(weights) if weights != "cache" else None
        preset = _best(model).transforms()
        mean, std = own or (list(preset.mean), list(preset.std))
        return {"mean": mean, "std": std, "bands": list(pretrained_bands), "of": weights if own else model}

    @staticmethod
    def require_possible(model: Model, size: int | None, weights: str = "random", **_: Any) -> None:
        """`ValueError` in one sentence for a size that the model can't take; weights that are not there: `FileNotFoundError`.

        The model is run on tensors without memory, so that the check is made before data are read.
        """
        if weights != "random":
            pretrained.locate(weights, _published(model), model)
        if size is None:
            return
        try:
            with torch.random.fork_rng(devices=[]), torch.device("meta"), torch.no_grad():
                rgb = tuple(Band(name) for name in "RGB")
                whole = Video(Stream("", "image", rgb, size, FRAMES), model=model, pretrained_bands=["R", "G", "B"])
                whole.eval()._see(torch.empty(1, 3, FRAMES, size, size))
        except NotImplementedError:  # an operation that needs numbers: the first batch will tell
            return
        except Exception as error:  # whatever a model says of a size that it was not made for
            why = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
            made_for = int(_best(model).transforms().crop_size[0])
            raise ValueError(
                f"backbone.model={model} can't take frames of {size} px: {why[:120]}; it was made for {made_for} px "
                f"(nearest: data.size={made_for})"
            ) from error

    def forward(self, x: Tensor, valid: Tensor) -> Features:
        """x (N, C, T, H, W) and valid (N, T) bool to tokens (N, T'H'W', D), T' H' W' of the last map, and pooled (N, D)."""
        return encode(self, self._see, x, valid, self.dim, self.frames)

    def _see(self, x: Tensor) -> Seen:
        m = self.model
        if hasattr(m, "pos_encoding"):
            return self._mvit(x)
        if hasattr(m, "patch_embed"):
            grid = m.norm(m.features(m.pos_drop(m.patch_embed(x))))
        elif hasattr(m, "features"):
            grid = m.features(x).movedim(1, -1)
        else:
            grid = m.layer4(m.layer3(m.layer2(m.layer1(m.stem(x))))).movedim(1, -1)
        tokens = grid.flatten(1, 3)
        return tokens, tokens.mean(1), (grid.shape[2], grid.shape[3])

    def _mvit(self, x: Tensor) -> Seen:
        m = self.model
        tokens = m.pos_encoding(m.conv_proj(x).flatten(2).transpose(1, 2))
        thw = (m.pos_encoding.temporal_size, *m.pos_encoding.spatial_size)
        for block in m.blocks:
            tokens, thw = block(tokens, thw)
        tokens = m.norm(tokens)
        return tokens[:, 1:], tokens[:, 0], (thw[1], thw[2])


def create(model: Model, size: int, steps: int) -> Any:
    """The torchvision model of random weights; MViT's tokens are those of `size` pixels and `steps` frames."""
    from torchvision.models import get_model

    if model not in get_args(Model):
        raise ValueError(f"backbone.model={model}: expected one of {', '.join(get_args(Model))}")
    made = get_model(model, weights=None)
    if places := getattr(made, "pos_encoding", None):
        # its positions are relative, by tables that it resamples itself; only the count of tokens is fixed
        stride = made.conv_proj.stride
        if size % stride[1] or steps % stride[0]:
            raise ValueError(
                f"its patches of {stride[1]} px and {stride[0]} frames don't divide {size} px and {steps} frames"
            )
        places.spatial_size, places.temporal_size = (size // stride[1], size // stride[2]), steps // stride[0]
    return made


def _strip(model: Any) -> int:
    """Take the classifier away; the width of what it read."""
    name = next(n for n in CLASSIFIER if hasattr(model, n))
    layers = [m for m in getattr(model, name).modules() if isinstance(m, nn.Linear | nn.Conv3d)]
    setattr(model, name, nn.Identity())
    width = layers[0].in_features if isinstance(layers[0], nn.Linear) else layers[0].in_channels
    return int(width)


def _best(model: str) -> Any:
    """What torchvision says of the weights of a model that it recommends."""
    from torchvision.models import get_model_weights

    return get_model_weights(model).DEFAULT


def _published(model: str) -> dict[str, Any]:
    return {"url": _best(model).url}
