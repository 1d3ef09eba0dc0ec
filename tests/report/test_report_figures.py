import json
import logging
import sys
from typing import get_args

import numpy as np
import pytest
from made_run import Said
from matplotlib import image
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from multimodal_lab import explore
from multimodal_lab.evaluate import predictions, retrieval_samples
from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.metric.direction import Scored
from multimodal_lab.predict import map_file
from multimodal_lab.report import answers, curves, figures, modality_gap, palette, projection, run_view, style
from multimodal_lab.stats import sphere

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
    retrieval_samples.save(Said({}, e.ids), e.rows(e.split == scored), folder / retrieval_samples.FILE)
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
    caplog.set_level(logging.INFO)
    assert figures.draw(tmp_path, ["curves"]) == []
    assert "no learning curves" in caplog.text


def test_what_a_run_has_nothing_for_is_told_where_it_was_asked_for(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    run(tmp_path)
    figures.draw(tmp_path)
    assert not caplog.text
    assert figures.draw(tmp_path, ["classes"]) == []
    assert "no figure of classes: no head of this run predicts classes" in caplog.text


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


@pytest.mark.parametrize("shape", [(40, 6), (4, 3), (12, 1)])
def test_tsne_is_sklearns_and_the_same_for_the_same_seed(shape):
    x = np.random.default_rng(1).normal(size=shape)
    at, ends = projection.placed(x, "tsne", 3)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    near, begin = min(30, (shape[0] - 1) / 3), "pca" if shape[1] > 1 else "random"
    np.testing.assert_array_equal(at, TSNE(perplexity=near, init=begin, random_state=3).fit_transform(unit))
    assert ends == ("t-SNE 1", "t-SNE 2")
    np.testing.assert_array_equal(at, projection.placed(x, "tsne", 3)[0])


@pytest.mark.slow  # numba compiles for half a minute
@pytest.mark.parametrize("shape", [(40, 6), (5, 3)])
def test_umap_is_the_packages_and_the_same_for_the_same_seed(shape):
    umap = pytest.importorskip("umap", exc_type=ImportError)
    x = np.random.default_rng(1).normal(size=shape)
    at, ends = projection.placed(x, "umap", 3)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    begin = "spectral" if shape[0] >= 10 else "random"
    reference = umap.UMAP(n_neighbors=min(15, shape[0] - 1), random_state=3, n_jobs=1, init=begin)
    np.testing.assert_array_equal(at, reference.fit_transform(unit))
    assert ends == ("UMAP 1", "UMAP 2")
    np.testing.assert_array_equal(at, projection.placed(x, "umap", 3)[0])
    assert not np.allclose(at, projection.placed(x, "umap", 4)[0])


@pytest.mark.parametrize("method", ["pca", "tsne", "umap"])
def test_a_collapsed_stream_is_one_point_and_not_the_end_of_the_process(method):
    x = np.tile(np.random.default_rng(1).normal(size=16), (40, 1)) * np.linspace(1, 2, 40)[:, None]
    at, _ = projection.placed(x.astype(np.float32), method)
    assert at.shape == (40, 2)
    assert np.ptp(at, axis=0).max() < 1e-5


def test_every_method_of_a_map_has_a_name_a_figure_and_a_word_on_the_command_line():
    assert [*projection.CALLED] == [*get_args(projection.Method)] == [*explore.METHODS]
    assert {*projection.CALLED} <= {*figures.FIGURES}


def test_the_modality_gap_is_told_and_drawn_between_the_centres(tmp_path, monkeypatch):
    e = run(tmp_path, pictures=False)
    kept = {}
    monkeypatch.setattr(modality_gap.style, "save", lambda figure, path: [kept.update({path.name: figure}), path][1])
    shown = run_view.shown(tmp_path)
    both = shown.embeddings.present["rgb"] & shown.embeddings.present["uv"]
    shown.embeddings.vectors["uv"] = shown.embeddings.vectors["rgb"] + 2.0
    assert [p.name for p in modality_gap.modality_gap(tmp_path, shown)] == ["modality_gap_rgb_uv.png"]
    figure = kept["modality_gap_rgb_uv.png"]
    x, y = (sphere.unit(shown.embeddings.vectors[k][both].astype(float)) for k in ("rgb", "uv"))
    gap = np.linalg.norm(x.mean(0) - y.mean(0))
    share = gap**2 / np.square(x - y).sum(1).mean()
    assert f"modality gap {gap:.2f}: " in figure.get_suptitle()
    assert f"It makes {share:.0%} of" in figure.get_suptitle()
    titles = [a.get_title("left").split(",")[0] for a in figure.axes[:3]]
    assert titles == ["along the gap", "PCA", "t-SNE"]
    for axis in figure.axes[:3]:  # a line for each pair
        assert len(axis.collections[0].get_segments()) == both.sum()
    drawn = figure.axes[0].lines[0].get_xydata()
    assert np.linalg.norm(drawn[1] - drawn[0]) == pytest.approx(gap)
    at, _ = projection.pca(np.concatenate([x, y]))
    ends = np.stack([at[: both.sum()].mean(0), at[both.sum() :].mean(0)])
    np.testing.assert_allclose(figure.axes[1].lines[0].get_xydata(), ends, atol=1e-6)
    assert not figure.axes[2].lines  # distances of t-SNE are none of the space
    assert len(e) == N


def test_a_gap_is_measured_against_a_coin_that_swaps_each_pair():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 200, 6))
    assert sphere.gap_by_chance(x, y) == pytest.approx(sphere.modality_gap(x, y), abs=0.15)
    assert sphere.gap_by_chance(x + 3, y - 3) < 0.3 < 1.8 < sphere.modality_gap(x + 3, y - 3)
    u, v = sphere.unit(x), sphere.unit(y + 1)
    assert sphere.gap_share(x, y + 1) == pytest.approx(
        sum((u.mean(0) - v.mean(0)) ** 2) / np.mean([((a - b) ** 2).sum() for a, b in zip(u, v, strict=True)])
    )
    assert sphere.gap_share(x, x) == 0


def test_metrics_file_cut_short_or_broken(tmp_path, caplog):
    file = tmp_path / "metrics.jsonl"
    file.write_text('{"step": 1, "a": 2.0}\n{"step": 2, "a": 3.0, "note": "x"}\n{"step": 3, "a"')
    steps, values = curves.read(file)["a"]
    assert (steps.tolist(), values.tolist()) == ([1, 2], [2, 3])
    assert "incomplete" in caplog.text
    digits = b"9" * 400  # more than a float holds
    broken = [
        b'{"a": 2.0}',
        b'{"step": %s}' % digits,
        b'{"step": 1, "a": %s}' % digits,
        b'{"step": 1, "\xff": 2}',
        b"\0" * 9,
    ]
    for line in broken:
        file.write_bytes(line + b'\n{"step": 2, "a": 3.0}\n')
        with pytest.raises(ValueError, match=r"metrics\.jsonl: line 1 is not"):
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
        '{"step": 1, "val/total": 2.0, "val/spread/uv/radius": 1.0, "val/spread/rgb/radius": 1.5, '
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


def test_curves_that_are_one_are_drawn_once_and_named_both(tmp_path, monkeypatch):
    (tmp_path / "metrics.jsonl").write_text(
        '{"step": 1, "train/total": 2.0, "train/a": 2.0, "train/b": 0.0, "lr/x": 1.0, "lr/y": 1.0}\n'
        '{"step": 1, "val/total": 3.0, "val/a": 3.0, "val/b": 0.0}\n'
    )
    drawn = []
    monkeypatch.setattr(curves.style, "save", lambda figure, path: [drawn.extend(figure.axes), path][1])
    curves.curves(tmp_path, tmp_path / "metrics.jsonl")
    told = [[text.get_text() for text in axis.get_legend().get_texts()] for axis in drawn]
    assert told == [["total = a", "b", "dashed: validation"], ["x = y"]]


def test_a_title_stays_within_its_figure():
    figure, _ = style.panels(1, 1)
    style.title(figure, "R@1 0.01, R@5 0.04, R@10 0.08 " * 4)
    box = figure._suptitle.get_window_extent(figure.canvas.get_renderer())
    assert box.x1 < figure.bbox.x1


def test_tiny_runs_do_not_break(tmp_path):
    run(tmp_path, n=4, pictures=False)
    assert len(figures.draw(tmp_path)) >= 2


def test_classes_have_one_colour_wherever_they_are_drawn():
    found = [palette.class_colour(i) for i in range(64)]
    assert len(set(found)) == 64
    assert all(0 <= x <= 1 for colour in found for x in colour)
    assert map_file.colours(64) == [tuple(round(255 * x) for x in colour) for colour in found]
    assert map_file.colours(1) == [(0, 0x72, 0xB2)]


def test_what_is_told_together_survives_any_name(tmp_path):
    names, n = ["C++", "C", "a+b", "a", "b"], 40
    rng = np.random.default_rng(0)
    truth, chances = rng.integers(0, 2, (n, 5)), rng.random((n, 5))
    e = Embeddings({"x": chances.astype(np.float32)}, {"x": np.ones(n, bool)}, {"lab": truth}, {"lab": names},
                   [str(i) for i in range(n)], np.arange(n), np.full(n, "test"))  # fmt: skip
    told = predictions.of_labels(truth, chances)
    predictions.write(
        tmp_path / "predictions.parquet", e, [predictions.Predicted("head", "h", "lab", np.arange(n), **told)]
    )
    (found,) = answers.several(tmp_path)
    np.testing.assert_array_equal(found.said, chances > 0.5)
