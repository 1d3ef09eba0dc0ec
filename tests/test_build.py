import functools

import pytest

from multimodal_lab.build import build


class Part:
    def __init__(self, dims, *, width=8):
        self.dims, self.width = dims, width


def test_facts_and_knobs_meet():
    part = build(functools.partial(Part, width=4), dims={"rgb": 3})
    assert part.dims == {"rgb": 3}
    assert part.width == 4


def test_a_fact_that_the_config_also_sets_is_refused_by_name():
    with pytest.raises(ValueError, match="Part: dims comes from the stage before it"):
        build(functools.partial(Part, dims={"uv": 1}), dims={"rgb": 3})


def test_an_object_where_a_factory_belongs_is_named():
    with pytest.raises(TypeError, match="expected a factory"):
        build(Part({}), dims={})
