"""Every planted fault is named, and nothing else voids: T26."""

import pytest
from planted import CAPTIONED, FAULTS, RGB_UV, SPECTRUM, Case, Clean, Small, Spectra, spoilt

from multimodal_lab.data.audit.audit import audit

# what a fault brings with it: the planted one explains these
WITH = {
    "one class in test": {"few groups"},
    "exact duplicate of one stream": {"near duplicate"},
}


@pytest.mark.parametrize(
    ("source", "modality"),
    [(Clean, RGB_UV), (Small, CAPTIONED), (Spectra, SPECTRUM)],
    ids=["images", "small images and texts", "spectra"],
)
def test_clean_data_have_no_finding(source, modality):
    case = Case(source(), modality)
    assert audit(case.prepare()).findings == []


@pytest.mark.parametrize("name", FAULTS)
def test_every_planted_fault_is_named(name):
    case, (kind, where, void, words) = spoilt(name)
    findings = audit(case.prepare(), case.splits).findings
    said = "\n".join(f"{'void' if f.void else 'warn'} {f.kind} {f.where}: {f.sentence}" for f in findings)
    own = [f for f in findings if (f.kind, f.where, f.void) == (kind, where, void)]
    assert own, said
    assert any(words in f.sentence for f in own), said
    assert void or not any(f.void for f in findings), said
    assert own[0].count >= 1


def test_two_dozen_faults():
    assert len(FAULTS) >= 24


def test_one_class_in_train_is_no_void_where_a_probe_is_fitted_on_val():
    case, _ = spoilt("one class in train")
    found = [f for f in audit(case.prepare(), case.splits, fitted="val").findings if f.kind == "single class"]
    assert [(f.void, f.sentence) for f in found] == [(False, "train has only 'bird' of kind; it is told on val alone")]
