"""The parts of a label's information against the dials of the embedded specimens: what was switched on is what is found."""

from itertools import product

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import RidgeClassifier

from multimodal_lab.data.synthetic.specimens import RGB, UV, Specimens
from multimodal_lab.stats.pid import estimate

# The part of each label's information that its dial makes, of (redundant, unique to RGB, unique to UV, synergy).
LABELS = {"species": ("shared", 0), "morph": ("unique_rgb", 1), "sex": ("unique_uv", 2), "synergy": ("synergy", 3)}
DIALS = [on for on in product((0, 1), repeat=4) if 0 < sum(on) < 4][2:12]
TRAIN, TEST = 400, 256


def read(x, bits):
    """(TEST, bits) what linear readers of one modality, taught on other individuals, say of each bit of theirs."""
    few = PCA(96, svd_solver="randomized", random_state=0).fit(x[:TRAIN]).transform(x)
    targets = np.stack(bits, 1)
    return RidgeClassifier(10.0).fit(few[:TRAIN], targets[:TRAIN]).predict(few[TRAIN:]).astype(int)


@pytest.mark.parametrize("on", DIALS, ids=lambda on: "".join(map(str, on)))
def test_each_labels_information_is_where_its_dial_put_it(on):
    dials = dict(zip((dial for dial, _ in LABELS.values()), map(float, on), strict=True))
    source = Specimens(individuals=TRAIN + TEST, sides=1, species=2, size=24, **dials)
    table = source.samples
    images = np.stack([source.array(i)[0] for i in range(len(table))]).astype(np.float32) / 65535
    own = {label: (table[label] == table[label].max()).to_numpy().astype(int) for label in LABELS}
    bar = table.caption.str.contains("pale wing bar").to_numpy().astype(int)
    tail = bar ^ own["synergy"]
    seen = [(RGB, (own["species"], own["morph"], bar)), (UV, (own["species"], own["sex"], tail))]
    codes = [read(images[:, bands].reshape(len(images), -1), bits) @ [1, 2, 4] for bands, bits in seen]
    for label, (dial, part) in LABELS.items():
        found = estimate(*codes, own[label][TRAIN:])
        parts = [found.redundant, found.unique1, found.unique2, found.synergy]
        if dials[dial]:
            assert np.argmax(parts) == part, (label, parts)
            assert parts[part] > 0.5, (label, parts)
        else:
            assert found.total < 0.1, (label, parts)
