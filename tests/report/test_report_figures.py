import json
import sys

import numpy as np
import pytest
from matplotlib import image
from sklearn.decomposition import PCA

from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.metric.direction import Scored
from multimodal_lab.report import curves, figures, neighbours, projection, run_view

OWN = Scored("spread", {"radius": "min", "share": "max", "n": None})

N = 60


def run(folder, *, pictures=True, labels=True, width=8, n=N, scored="test"):
    rng = np.random.default_rng(0)
    species, x = rng.integers(0, 3, n), rng.normal(size=(n, width)).astype(np.float32)
    species[0] = -1
    seen = np.arange(n) % 7 != 0
    whole = np.ones(n, dtype=bool)
    targets = {"species": species, "mass": rng.random(n), "individual": np.arange(n)} if labels else {}
    e = Embeddings(
        {"rgb": x, "uv": x * seen[:, None], "fused": x}, {"rgb": whole, "uv": seen, "fused": whole}, targets,
        {"species": ["a", "b", "c"]} if labels else {}, [f"dir/{i}.tif" for i in range(n)], np.arange(n),
        np.where(np.arange(n) < n // 3, "train", scored),
    )  # fmt: skip
    e.save(folder / "embeddings")
    if pictures:
        images = rng.integers(0, 255, (n - 10, 48, 48, 3), dtype=np.uint8)
        np.savez(folder / "thumbnails.npz", rows=np.arange(n - 10), rgb=images, uv=images)
    rows = [
        {"step": s, "train/total": 1 / s, "train/a": 1 / s, "lr/backbone": 0.1, "train/grad_norm": 1.0} for s in (1, 2)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    return e


def test_draws_every_default_figure(tmp_path):
    run(tmp_path)
    paths = figures.draw(tmp_path, label="species")
    assert [p.name for p in paths] == [
        "pca_species.png", "pca_mass.png", "neighbours_rgb_to_uv.png", "neighbours_uv_to_rgb.png", "similarity.png",
        "curves.png",
    ]  # fmt: skip
    for path in paths:
        pixels = image.imread(path)
        assert pixels.shape[1] > 300
        assert pixels[..., :3].std() > 0.02  # not a blank page


def test_without_pictures_labels_or_metrics(tmp_path, caplog):
    run(tmp_path, pictures=False, labels=False)
    (tmp_path / "metrics.jsonl").unlink()
    paths = figures.draw(tmp_path)
    assert [p.name for p in paths] == [
        "pca.png", "neighbours_rgb_to_uv.png", "neighbours_uv_to_rgb.png", "similarity.png",
    ]  # fmt: skip
    assert "no learning curves" in caplog.text


def test_curves_alone_need_no_embeddings(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "train/total": 2.0}\n')
    assert [p.name for p in figures.draw(tmp_path, ["curves"])] == ["curves.png"]


def test_an_unknown_figure_names_the_nearest(tmp_path):
    with pytest.raises(ValueError, match=r"no figure 'umpa'; .*nearest: umap"):
        figures.draw(tmp_path, ["umpa"])


def test_umap_without_its_package_is_said(tmp_path, monkeypatch, caplog):
    run(tmp_path)
    monkeypatch.setitem(sys.modules, "umap", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert figures.draw(tmp_path, ["umap"]) == []
    assert "umap-learn is not installed" in caplog.text


def test_shown_is_the_test_split_bounded_and_its_pictures_stay_aligned(tmp_path, monkeypatch):
    e = run(tmp_path)
    images = np.zeros((50, 48, 48, 3), dtype=np.uint8) + np.arange(50, dtype=np.uint8)[:, None, None, None]
    np.savez(tmp_path / "thumbnails.npz", rows=np.arange(50), rgb=images)
    what = run_view.shown(tmp_path)
    assert what.embeddings.ids == e.ids[20:]
    assert what.called == "40 held-out (test) samples"
    assert what.has_picture.tolist() == [True] * 30 + [False] * 10
    assert what.pictures["rgb"][:30, 0, 0, 0].tolist() == list(range(20, 50))
    assert what.picture("fused") is what.pictures["rgb"]
    monkeypatch.setattr(run_view, "POINTS", 25)
    few = run_view.shown(tmp_path)
    assert few.has_picture.all()
    assert few.called == "25 of 40 held-out (test) samples"
    assert [int(i.split("/")[1][:-4]) for i in few.embeddings.ids] == few.pictures["rgb"][:, 0, 0, 0].tolist()
    for scored, called in (("val", "40 validation samples"), ("train", "60 samples (there is no test or val split)")):
        run(tmp_path / scored, scored=scored)
        assert run_view.shown(tmp_path / scored).called == f"25 of {called}"


def test_labels_with_more_classes_than_the_palette_are_left_out(tmp_path):
    run(tmp_path)
    assert run_view.shown(tmp_path).labels("mass") == ["mass", "species"]


@pytest.mark.parametrize("shape", [(30, 6), (5, 40), (4, 1)])
def test_pca_is_sklearns(shape):
    x = np.random.default_rng(1).normal(size=shape)
    at, share = projection.pca(x)
    k = min(2, shape[1])
    reference = PCA(k).fit(x)
    np.testing.assert_allclose(np.abs(at[:, :k]), np.abs(reference.transform(x)), atol=1e-8)
    np.testing.assert_allclose(share[:k], reference.explained_variance_ratio_, atol=1e-10)


def test_nearest_is_by_cosine_in_the_projection_among_samples_that_have_both(tmp_path):
    e = run(tmp_path)
    queries, found = neighbours.nearest(e, "rgb", "uv")
    assert found[:, 0].tolist() == queries.tolist()
    assert e.present["uv"][found].all()
    e.projected = {"rgb": e.vectors["rgb"], "uv": -e.vectors["rgb"]}
    assert not (neighbours.nearest(e, "rgb", "uv")[1] == queries[:, None]).any()
    e.projected = {}
    e.vectors["uv"] = e.vectors["uv"][:, :3]
    assert neighbours.nearest(e, "rgb", "uv") is None


def test_metrics_file_cut_short_or_broken(tmp_path, caplog):
    file = tmp_path / "metrics.jsonl"
    file.write_text('{"step": 1, "a": 2.0}\n{"step": 2, "a": 3.0, "note": "x"}\n{"step": 3, "a"')
    steps, values = curves.read(file)["a"]
    assert (steps.tolist(), values.tolist()) == ([1, 2], [2, 3])
    assert "incomplete" in caplog.text
    file.write_text('{"a": 2.0}\n{"step": 2, "a": 3.0}\n')
    with pytest.raises(ValueError, match="line 1 is not"):
        curves.read(file)


@pytest.mark.parametrize(
    ("stated", "monitor", "drawn"),
    [
        (
            [OWN],
            "val/spread/uv/radius",
            {"spread/uv/radius", "spread/rgb/radius"},  # not n, and not what more of is better
        ),
        ([], "val/spread/uv/radius", {"spread/uv/radius"}),
        ([OWN], None, {"spread/uv/radius", "spread/rgb/radius", "spread/uv/share"}),
        ([], None, {"spread/uv/radius", "spread/rgb/radius", "spread/uv/share", "spread/uv/n"}),
    ],
)
def test_the_score_that_was_watched_is_drawn_whatever_its_name(tmp_path, monkeypatch, stated, monitor, drawn):
    (tmp_path / "metrics.jsonl").write_text(
        '{"step": 1, "val/total": 2.0, "val/spread/uv/radius": 1.0, "val/spread/rgb/radius": 1.0, '
        '"val/spread/uv/share": 0.5, "val/spread/uv/n": 9}\n'
    )
    panels = {}
    monkeypatch.setattr(
        curves.style,
        "save",
        lambda figure, path: [panels.update({a.get_title("left"): a for a in figure.axes}), path][1],
    )
    curves.curves(tmp_path, tmp_path / "metrics.jsonl", stated, monitor)
    assert {line.get_label() for line in panels["validation"].lines} == drawn
    assert len(panels["loss"].lines) == 1


def test_tiny_runs_do_not_break(tmp_path):
    run(tmp_path, n=4, pictures=False)
    assert len(figures.draw(tmp_path)) >= 2
