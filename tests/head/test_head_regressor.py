import pytest
import torch

from multimodal_lab.data.streams.labels import moments
from multimodal_lab.head.names import count

DIMS = {"a": 6}


def test_numbers_come_in_the_unit_of_the_label(build, make, batch):
    mean, std = torch.tensor([700.0, 3.0]), torch.tensor([20.0, 0.1])
    head = build("regressor", DIMS, label="both", numbers={"both": (mean, std)}).eval()
    features = make(DIMS, 500)
    said = head(features, batch(500))
    z = head.layers(features["a"].pooled)
    torch.testing.assert_close(said, mean + std * z)
    assert {"mean", "std"} <= head.state_dict().keys()  # a reloaded run has the unit of its training


def test_a_variance_is_positive_and_in_the_unit_s_square(build, make, batch):
    head = build("regressor", DIMS, variance=True).eval()
    with torch.no_grad():
        head.layers[-1].bias[1] = -200  # a network that is far too sure
    said = head(make(DIMS, 8), batch(8))
    assert said.shape == (8, 2)
    assert (said[:, 1] > 0).all()
    assert said[:, 1].log().isfinite().all()


def test_a_label_that_is_no_number_is_refused(build):
    with pytest.raises(ValueError, match=r"head=regressor: label=species is no number of the data; .*nearest: mass"):
        build("regressor", DIMS, label="species")
    with pytest.raises(
        ValueError, match="head=classifier: label=mass is a number, which has no classes; use head=regressor"
    ):
        count("classifier", {"mass": 0, "sex": 2}, "mass")


def test_moments_leave_out_what_is_missing():
    x = torch.tensor([1.0, 3.0, torch.nan, 5.0])
    mean, std = moments(x.numpy())
    assert (mean.tolist(), std.tolist()) == ([3.0], [pytest.approx((8 / 3) ** 0.5)])
    assert [m.tolist() for m in moments(torch.full((3, 2), torch.nan).numpy())] == [[0, 0], [1, 1]]
    assert moments(torch.full((3,), 7.0).numpy())[1].tolist() == [1]
