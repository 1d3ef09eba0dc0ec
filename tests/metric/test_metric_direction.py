import pytest

from multimodal_lab.config.rules.wiring import scored
from multimodal_lab.config.suggest import nodes
from multimodal_lab.metric import direction

SCORED = scored({"evaluate": nodes("evaluate")})

LESS = ["val/total", "val/cross_modal", "val/retrieval/rgb->uv/median_rank", "val/collapse/rgb-uv/alignment"]
LESS += ["val/collapse/fused/uniformity"]
MORE = ["val/knn/fused/species/accuracy", "val/retrieval/rgb->uv/R@10", "val/retrieval/rgb->uv/species/map"]
MORE += ["val/kmeans/rgb/sex/ari", "val/kmeans/rgb/sex/nmi", "val/probe/rgb/sex/r2", "val/collapse/fused/rankme"]
NEITHER = ["val/knn/fused/species/n_train", "val/retrieval/rgb->uv/chance_R@1", "val/chance/species", "val/rsa/a-b/p"]


@pytest.mark.parametrize(("name", "way"), [*((n, "min") for n in LESS), *((n, "max") for n in MORE)])
def test_the_better_way_is_known_by_name(name, way):
    assert direction.resolve("auto", name, SCORED) == way
    other = {"min": "max", "max": "min"}[way]
    assert direction.resolve(other, name, SCORED) == other


@pytest.mark.parametrize("name", NEITHER)
def test_what_has_no_better_way_is_asked_for(name):
    with pytest.raises(ValueError, match="say min or max"):
        direction.resolve("auto", name, SCORED)


def test_without_a_score_to_watch_nothing_has_changed_for_older_checkpoints():
    assert direction.resolve("auto", None) == "min"
