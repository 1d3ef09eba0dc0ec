"""What published model cards make of real Sentinel-2 patches, and what the configured preprocessing makes of them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from multimodal_lab.config.instantiate import safe_instantiate
from multimodal_lab.experiment.build import modality

REAL = Path(__file__).parents[3] / "shared/data/open/eo_samples"


@pytest.mark.skipif(not REAL.is_dir(), reason="needs eo_samples in ../shared/data")
@pytest.mark.parametrize(
    ("name", "mean", "std"),
    [
        ("sat493m", [0.430, 0.411, 0.296], [0.213, 0.156, 0.143]),
        ("imagenet", [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ],
)
def test_patches_are_resized_and_normalised_as_dinov3s_own_processor_does(composed, name, mean, std):
    h5py = pytest.importorskip("h5py")
    transformers = pytest.importorskip("transformers")
    own = [f"+modality.s2_rgb.{key}" for key in ("size=224", f"normalise={name}", "white_level=2000")]
    words = [
        "data=eo_samples",
        f"data.root={REAL}",
        "modality=s2_rgb",
        "data/scaling=dataset_stats",
        "data.cache=false",
        *own,
    ]
    cfg = composed(*words, "data.statistics=16", small=False)
    data = safe_instantiate(cfg.data).prepare(modality(cfg), 0)
    stream = data.streams["s2_rgb"]
    by, spread = (torch.tensor(v).view(-1, 1, 1) for v in (stream.mean, stream.std))
    ours = (data.batch(np.arange(4)).inputs["s2_rgb"] - by) / spread
    processor = transformers.DINOv3ViTImageProcessor(
        rescale_factor=1 / 2000, size={"height": 224, "width": 224}, image_mean=mean, image_std=std
    )
    with h5py.File(REAL / "s1s2_tiles.h5") as file:
        stored = torch.from_numpy(file["s2"][:4][:, [3, 2, 1]].astype("float32"))
    theirs = processor(images=list(stored), return_tensors="pt")["pixel_values"]
    assert ours.shape == theirs.shape == (4, 3, 224, 224)
    assert (ours - theirs).abs().max() < 1e-6 * theirs.abs().max()
