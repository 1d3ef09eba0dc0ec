"""The batch: one `map` reaches every field, also one that a later version adds."""

from dataclasses import dataclass, field, fields

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from multimodal_lab.augment.augment import Augment
from multimodal_lab.train import gradcache
from multimodal_lab.types import Batch, Stream


@dataclass
class Longer(Batch):
    """A batch of a later version: two more fields, of the two shapes that a field can have."""

    weights: dict[str, Tensor] = field(default_factory=dict)
    sites: Tensor | None = None


def made(**more):
    rows = torch.arange(4)
    return Longer(
        {"rgb": torch.rand(4, 3, 5, 5), "words": rows.repeat(6, 1).T},
        {"species.of.moth": rows},
        {"rgb": rows > 0, "words": rows > 1},
        rows * 10,
        rows // 2,
        weights={"rgb": torch.rand(4, 7)},
        sites=rows + 3,
        **more,
    )


def same(a, b):
    assert type(a) is type(b)
    assert a.named().keys() == b.named().keys()
    assert all(torch.equal(x, b.named()[k]) for k, x in a.named().items())


def test_named_gives_every_tensor_of_every_field():
    rest = {
        "others": {"words": torch.zeros(4, 2, 6)},
        "items": {"rgb": torch.zeros(4)},
        "text_ids": {"words": torch.zeros(4, 3)},
        "valid": {"rgb": torch.ones(4, 7)},
    }
    batch = made(mask=torch.ones(4, 1, 5, 5), same=torch.zeros(4), keys=torch.arange(4), **rest)
    assert {place.partition(".")[0] for place in batch.named()} == {one.name for one in fields(batch)}
    assert all(len(x) == len(batch) for x in batch.named().values())


@pytest.mark.parametrize("change", [lambda x: x + x, lambda x: x[1:3], lambda x: torch.cat([x] * 2)])
def test_map_reaches_every_tensor_and_keeps_what_is_absent(change):
    batch = made()
    found = batch.map(change)
    same(found, Longer.from_named({k: change(x) for k, x in batch.named().items()}))
    assert found.mask is None
    same(batch.map(lambda x: x), batch)


def test_a_new_field_is_moved_cut_and_repeated_with_the_others():
    batch = made()
    assert all(x.device.type == "meta" for x in batch.to(torch.device("meta")).named().values())
    assert gradcache.part(batch, slice(1, 3)).sites.tolist() == [4, 5]
    views = Augment({"rgb": Stream("rgb"), "words": Stream("words", "text")}, ops={}, views=2)(batch, 0, 0)
    assert views.weights["rgb"].equal(batch.weights["rgb"].repeat(2, 1))
    assert views.sites.tolist() == [3, 4, 5, 6] * 2


def test_a_batch_written_by_place_is_read_back_empty_dicts_and_dotted_names_too(tmp_path):
    batch = made()
    same(Longer.from_named(batch.named()), batch)
    batch.targets.clear()
    save_file({k: x.contiguous() for k, x in batch.named().items()}, tmp_path / "batch.safetensors")
    found = Longer.from_named(load_file(tmp_path / "batch.safetensors"))
    same(found, batch)
    assert found.targets == {}
