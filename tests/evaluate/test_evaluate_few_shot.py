"""Few-shot classification: the drawn rows alone are learnt from, as scikit-learn would, and what is short is told."""

import numpy as np
import pytest
from contract.evaluator import embeddings
from sklearn.linear_model import LogisticRegression

from multimodal_lab.evaluate.few_shot import FewShot, drawn


@pytest.fixture(scope="module")
def both():
    return embeddings()


def test_each_draw_has_k_rows_of_each_class_and_more_shots_hold_the_fewer():
    y = np.array([0] * 9 + [1] * 4 + [2] * 1)
    few, more = ([set(rows.tolist()) for rows in drawn(y, k, 3, seed=1)] for k in (2, 4))
    assert all(np.bincount(y[[*rows]]).tolist() == [2, 2, 1] for rows in few)
    assert all(np.bincount(y[[*rows]]).tolist() == [4, 4, 1] for rows in more)
    assert all(a < b for a, b in zip(few, more, strict=True))
    assert len({frozenset(rows) for rows in few}) > 1
    assert [set(rows.tolist()) for rows in drawn(y, 2, 3, seed=2)] != few


def test_it_is_what_plain_python_and_scikit_learn_say(both):
    train, test = (e.rows(np.arange(len(e))) for e in both)
    known, held = train.targets["species"] >= 0, test.targets["species"] >= 0
    x, y = train.vectors["rgb"][known].astype(np.float64), train.targets["species"][known]
    t, truth = test.vectors["rgb"][held].astype(np.float64), test.targets["species"][held]
    rng = np.random.default_rng(0)
    x, t = x + rng.normal(size=x.shape) * 6, t + rng.normal(size=t.shape) * 6  # not all right
    train.vectors["noisy"], test.vectors["noisy"] = np.zeros((len(train), 16)), np.zeros((len(test), 16))
    train.vectors["noisy"][known], test.vectors["noisy"][held] = x, t
    train.present["noisy"], test.present["noisy"] = known, held
    train.vectors["noisy"], test.vectors["noisy"] = (e.vectors["noisy"].astype(np.float32) for e in (train, test))
    found = FewShot(shots=[3], draws=4, seed=5, strength=0.5)(train, test)  # 12 rows of 16 columns
    linear, nearest = [], []
    unit = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in (x, t)]
    for rows in drawn(y, 3, 4, seed=5):
        own = unit[0][rows]
        centre = own.mean(0)
        scale = np.sqrt(((own - centre) ** 2).mean())
        model = LogisticRegression(C=0.5, max_iter=5000, tol=1e-8).fit((own - centre) / scale, y[rows])
        linear.append(model.score((unit[1] - centre) / scale, truth))
        means = np.stack([own[y[rows] == c].mean(0) for c in range(4)])
        nearest.append(
            (np.argmax(unit[1] @ (means / np.linalg.norm(means, axis=1, keepdims=True)).T, 1) == truth).mean()
        )
    key = "few_shot/noisy/species"
    assert 0.3 < np.mean(linear) < 0.95
    assert found[f"{key}/accuracy@3"] == pytest.approx(np.mean(linear), abs=1.01 / len(truth))
    assert found[f"{key}/accuracy_std@3"] == pytest.approx(np.std(linear, ddof=1), abs=0.01)
    assert found[f"{key}/centroid@3"] == pytest.approx(np.mean(nearest))
    assert found[f"{key}/centroid_std@3"] == pytest.approx(np.std(nearest, ddof=1))


def test_more_shots_are_better_and_noise_stays_at_chance(both):
    found = FewShot(draws=8)(*both)
    assert found["few_shot/rgb/species/accuracy@16"] > found["few_shot/rgb/species/accuracy@1"] > 0.4
    assert found["few_shot/rgb/species/accuracy@16"] > 0.9 < found["few_shot/rgb/species/centroid@16"]
    assert abs(found["few_shot/rgb/coin/accuracy@16"] - 0.5) < 0.15
    assert found["chance/coin"] == np.bincount(both[1].targets["coin"]).max() / 80


def test_classes_that_are_short_are_told_and_shots_that_none_has_skipped(both):
    train, test = both
    few = train.rows(np.arange(len(train)))
    species = few.targets["species"]
    for c in (0, 1):
        species[np.flatnonzero(species == c)[3:]] = -1
    found = FewShot(shots=[2, 8, 200])(few, test)
    key = "few_shot/rgb/species"
    assert [found[f"{key}/short@{k}"] for k in (2, 8)] == [0, 2]
    assert found[f"{key}/skipped/no_class_has_200_training_samples"] == 1
    assert f"{key}/accuracy@200" not in found


def test_its_settings_change_what_they_say(both):
    plain = FewShot(shots=[2])(*both)
    key = "few_shot/uv/species/accuracy@2"
    assert FewShot(shots=[2], draws=1)(*both)["few_shot/uv/species/accuracy_std@2"] == 0
    assert FewShot(shots=[2], seed=3)(*both)[key] != plain[key]
    projected = [e.rows(np.arange(len(e))) for e in both]
    for e in projected:
        e.projected = {"uv": np.ascontiguousarray(e.vectors["uv"][:, :1] * 0 + 1)}
    assert FewShot(shots=[2])(*projected)[key] == plain[key]
    assert FewShot(shots=[2], projection=True)(*projected)[key] != plain[key]
    assert (
        FewShot(shots=[2], strength=1e-6)(*both)["few_shot/uv/species/centroid@2"]
        == plain["few_shot/uv/species/centroid@2"]
    )
    with pytest.raises(ValueError, match=r"evaluate.few_shot.shots is empty; expected one or more numbers"):
        FewShot(shots=[])
