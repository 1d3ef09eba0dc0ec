"""docs/systems.md has a line for every experiment and every study."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/systems.md").read_text()


@pytest.mark.parametrize("group", ["experiment", "study"])
def test_every_one_has_a_line(group):
    there = {str(f.relative_to(ROOT / "conf" / group).with_suffix("")) for f in (ROOT / "conf" / group).rglob("*.yaml")}
    commands = [line.split("|")[2] for line in TEXT.splitlines() if line.startswith("| ")]
    told = {name for cell in commands for name in re.findall(r"`(?:experiment=|study=)?([\w/]+)", cell)}
    assert there <= told, sorted(there - told)
