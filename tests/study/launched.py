"""Studies started from the command line, and what they said."""

import re
import time


def ended(process):
    """Its exit code and all it said."""
    said = process.communicate(timeout=240)[0]
    return process.returncode, said


def trained(said):
    """The cells that a launcher began to train."""
    return re.findall(r"writing to \S*?/([\w-]+)\n", said)


def wait_for(found, seconds=120):
    """Until there is what a launcher is waited for to leave."""
    end = time.monotonic() + seconds
    while not found() and time.monotonic() < end:
        time.sleep(0.02)
    assert found()
