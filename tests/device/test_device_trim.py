import subprocess
import sys

import pytest

FAULTS = """
import resource
import numpy as np
from multimodal_lab.device.trim import keep
{do}
def step():
    return [np.ones(2_000_000) for _ in range(8)]
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="of glibc")
def test_a_step_takes_the_memory_that_the_one_before_has_freed():
    found = {}
    for do in ("", "keep()"):
        done = subprocess.run([sys.executable, "-c", FAULTS.format(do=do)], capture_output=True, text=True, check=True)
        found[do] = int(done.stdout)
    assert found["keep()"] < 1000 < found[""]
