"""What a server says of data that are not there any more."""

from pathlib import Path
from types import SimpleNamespace

from omegaconf import OmegaConf

from multimodal_lab.serve.sources import show_stored


def test_a_secret_in_the_place_of_the_data_is_not_told(monkeypatch, capsys):
    monkeypatch.setenv("STORE_TOKEN", "hunter2hunter2")
    source = {"_target_": "multimodal_lab.data.readers.images.Images", "root": "/nowhere/hunter2hunter2"}
    data = {"_target_": "multimodal_lab.data.dataset.Data", "source": source}
    show_stored(SimpleNamespace(embeddings=None), OmegaConf.create({"data": data, "modality": {}, "seed": 0}), Path())
    assert "so thumbnails stand for them (data.root: /nowhere/*** is not there)" in capsys.readouterr().out
