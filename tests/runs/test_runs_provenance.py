import gc

import numpy as np

from multimodal_lab.runs import provenance


def test_the_peak_counts_from_the_restart():
    big = np.ones(30_000_000)
    before = provenance._peak()
    del big
    gc.collect()  # what other tests left is not freed behind the restart
    provenance.restart_peak()
    after = provenance._peak()
    assert before - after > 200e6
    more = np.ones(60_000_000)
    assert provenance._peak() - after > 100e6
    del more


def test_the_code_is_named():
    assert provenance.commit()
