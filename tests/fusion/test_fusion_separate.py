from __future__ import annotations


def test_identity(build, make):
    features = make({"a": 3, "b": 4})
    out = build("separate", {"a": 3, "b": 4})(features)
    assert out == features
    assert out is not features
