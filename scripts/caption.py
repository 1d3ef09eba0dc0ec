"""Print captions of held-out images by a trained run, each beside the reference:

python scripts/caption.py runs/mine [how many, default 10] [beam width, default 3]
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from omegaconf import OmegaConf

from multimodal_lab.checkpoint import store
from multimodal_lab.experiment.reload import trained
from multimodal_lab.head.caption_lstm import PAD, CaptionLSTM
from multimodal_lab.runs.records import read_config


def main() -> None:
    """Load the run as it saw its own data, write captions for the test split, and print the first of them."""
    if not 2 <= len(sys.argv) <= 4:
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    count, beam = (int(a) for a in (*sys.argv[2:], *("10", "3")[len(sys.argv) - 2 :]))
    cfg = OmegaConf.create(read_config(folder))
    try:
        system, data, _ = trained(cfg, folder, torch.device("cpu"))
    except store.CheckpointError as error:
        sys.exit(f"error: {error}")
    system.eval()
    heads = [h for h in system.heads.values() if isinstance(h, CaptionLSTM)]
    if not heads:
        sys.exit(f"error: {folder}: a run without head=caption_lstm")
    head, right, total, loss, spoken = heads[0], 0, 0, 0.0, 0
    words = data.tokens[head.target]
    texts = dict(zip(data.ids.tolist(), data.samples[cfg.modality[head.target].field], strict=True))
    for batch in data.batches("test", epoch=0, shuffle=False, drop_last=False):
        with torch.no_grad():
            tokens = int((batch.targets[head.target][:, 1:] != PAD).sum())  # the loss is a mean over these
            loss, spoken = loss + float(system(batch)["total"]) * tokens, spoken + tokens
            written = head.generate(system.features(batch), batch.targets[head.target].shape[1] - 1, beam)
        for ours, key in zip(written.tolist(), batch.ids.tolist(), strict=True):
            caption, reference = words.decode(ours), str(texts[key])
            right, total = right + (caption == reference.lower()), total + 1
            if total <= count:
                print(f"{reference:32} | {caption}")
    print(f"{right} of {total} captions are the reference word for word; held-out loss {loss / spoken:.3f} a token")


if __name__ == "__main__":
    main()
