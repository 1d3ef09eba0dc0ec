"""Every conf/loss/*.yaml builds one term that keeps the contract; a new file there tests itself."""

import pytest
import torch
from contract import loss as contract
from contract import loss_ranks
from contract.owed import CONF

from multimodal_lab.keyed import Keyed

ALL = [contract.made(path.stem) for path in sorted((CONF / "loss").glob("*.yaml"))]
BETWEEN = [
    contract.made(one.name, between=choice)
    for one in ALL if "between" in one.node.get("fn", {})
    for choice in ("modalities", "both")
]  # fmt: skip
CASES = [(one, check) for one in [*ALL, *BETWEEN] for check in contract.checks(one)]


@pytest.mark.parametrize(
    ("one", "check"), CASES, ids=[f"{one.name},{one.node['fn'].get('between', '')},{c.__name__}" for one, c in CASES]
)
def test_it_gives_what_it_owes(one, check):
    check(one)


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.name)
def test_a_term_is_called_as_its_file(one):
    assert one.name.startswith(one.build().name)


def test_a_mean_over_the_rows_of_each_rank_alone_is_told():
    own = contract.Made("own_mean", {"_target_": "multimodal_lab.keyed.Keyed",
                                     "fn": {"_target_": f"{__name__}.own_mean", "_partial_": True},
                                     "z": "out.projection", "present": "present"})  # fmt: skip
    with pytest.raises(AssertionError, match="loss own_mean: two processes give another value than one; gather rows"):
        loss_ranks.parity(own)


def own_mean(z, present):
    """The mean of each rank's own rows, which is not the mean over all rows."""
    total = sum(torch.where(present[k][:, None], x, 0.0).square().sum() for k, x in z.items())
    return total / sum(rows.sum() for rows in present.values())


def zero(z):
    """What returns a constant where it has nothing to say."""
    return torch.zeros(())


def leaky(z, present):
    """What looks at rows that are not there."""
    return torch.stack([x.square().mean() for x in z.values()]).mean()


@pytest.mark.parametrize(
    ("fn", "check", "said"),
    [
        (zero, contract.presence, "loss mine: its value has no graph"),
        (leaky, contract.missing_row, "loss mine: what stands in a missing row changes it; set rows outside `present`"),
        (own_mean, contract.presence, r"loss mine: of 1 samples with \[False, False, False, False\] present it is nan"),
    ],
)
def test_a_contract_that_is_broken_says_what_is_owed(fn, check, said):
    class Mine(contract.Made):
        def build(self):
            paths = {"z": "out.projection", **({} if fn is zero else {"present": "present"})}
            return Keyed(fn, **paths)

    with pytest.raises(AssertionError, match=said):
        check(Mine("mine", {}))


def test_the_curriculum_moves_from_intra_to_cross():
    module = contract.made("cross_modal_curriculum").build()
    plain = contract.made("cross_modal").build()
    found, _ = contract.scope(4)
    for progress, cross, intra in [(0.0, 0.2, 0.8), (0.5, 0.5, 0.5), (1.0, 0.8, 0.2)]:
        plain.constants |= {"cross_weight": cross, "intra_weight": intra}
        torch.testing.assert_close(module({**found, "progress": progress}), plain(found))


@pytest.mark.parametrize(("name", "count"), [("clip", 1), ("siglip", 2), ("cross_modal", 0)])
def test_learned_numbers_are_parameters_of_the_term(name, count):
    module = contract.made(name).build()
    module(contract.scope(4)[0]).backward()
    parameters = list(module.parameters())
    assert len(parameters) == count
    assert all(p.grad.abs() > 0 for p in parameters)
