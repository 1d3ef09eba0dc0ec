import re
import shlex
import subprocess
import sys
import textwrap
from functools import lru_cache
from pathlib import Path

import pytest
import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.plugins.sweeper import Sweeper
from hydra.utils import get_class
from omegaconf import OmegaConf

from multimodal_lab.config import check, compose
from multimodal_lab.config.check import check_command
from multimodal_lab.config.overrides import groups
from multimodal_lab.config.problem import ConfigError, Problem
from multimodal_lab.config.show import show
from multimodal_lab.config.targets import conf_dir


def read(name):
    """The lines of a file beside this one, comments and blanks left out."""
    lines = Path(__file__).with_name(name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


GROUPS = {name: choices for name, choices in groups((conf_dir(),)).items() if "/" not in name and name != "hydra"}
SWEEPER = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"
HINT = re.compile(
    r"nearest: \S|expected (one of|an integer|a number|true or false|text|null|a list|a dict|a node|\d|KEY)|give "
)


def refusal(*argv):
    with pytest.raises(ConfigError) as error:
        check_command(list(argv))
    return str(error.value)


def split(line):
    """The words of a line, as a shell would give them; a dict in braces is one word."""
    return [word for word in re.split(r" (?![^{]*\})", line) if word]


def typo(word):
    """The word with its last letter three times: a typo that is no other word of the tree."""
    return word + 2 * word[-1]


def leaves(node, key):
    """(key, value) of all plain values of a config node, special keys left out."""
    for k, v in node.items():
        if isinstance(v, dict):
            yield from leaves(v, f"{key}.{k}")
        elif not k.startswith("_"):
            yield f"{key}.{k}", v


def default_config():
    return OmegaConf.to_container(compose.composed([]), resolve=False)


@lru_cache
def generated():
    """Malformed lines made from the config tree itself: (line, what its message must hold)."""
    tree = default_config()
    checked = ("fusion", "backbone", "head", "loss", "optim", "train", "data", "augment", "evaluate", "modality")
    found = [(f"{group}={typo(GROUPS[group][0])}", f"{group}=") for group in GROUPS]
    found += [(f"{group}={typo(GROUPS[group][-1])}", f"{group}={GROUPS[group][-1]}") for group in GROUPS]
    found += [(f"{typo(group)}={choices[0]}", group) for group, choices in GROUPS.items()]
    found += [(f"+{group}@{typo(group)}.x={GROUPS[group][0]}", group) for group in ("head", "loss", "backbone")]
    for name in checked:
        keys = list(leaves(tree[name], name))[:14]
        found += [(f"{key.rpartition('.')[0]}.{typo(key.rpartition('.')[2])}=1", key) for key, _ in keys[:3]]
        found += [(f"+{key}_of_no_one=1", f"{key}_of_no_one") for key, _ in keys[:1] if name != "data"]
        numbers = [key for key, v in keys if isinstance(v, int | float)]
        found += [(f"{key}=abc", f"{key}=abc") for key in numbers[:3]]
        found += [(f"{key}={{a: 1}}", key) for key in numbers[:1]]
        found += [
            (f"{key}=-7", f"{key}=-7") for key in numbers[:2] if "seed" not in key and name not in ("data", "augment")
        ]
    return found


def few(found):
    """Of the generated lines the first of each form, for a key of its own group; the others are made alike."""
    forms = {}
    for line, words in found:
        key, _, value = line.partition("=")
        form = (key[0] == "+", "@" in key, "." in key, key.endswith("_of_no_one"), re.sub(r"\w{4,}", "word", value))
        forms.setdefault(form, (line, words))
    return {*forms.values()}


WRITTEN = [tuple(line.split("  =>  ")) for line in read("malformed_lines.txt")]


@pytest.mark.parametrize(
    ("line", "words"),
    [*WRITTEN, *(pytest.param(*x, marks=() if x in few(generated()) else pytest.mark.slow) for x in generated())],
)
def test_a_malformed_line_is_refused_with_its_key_and_the_nearest_choice(line, words):
    argv = split(line)
    message = refusal(*argv)
    assert words in message
    keys = [re.sub(r"[@=.].*", "", word.lstrip("+~-")) for word in argv]
    assert any(key[:4] in message for key in keys)
    assert HINT.search(message) or any(
        w in message for w in ("remove it", "KEY=VALUE", "no such", "unpickles", "hydra has")
    )
    assert "Traceback" not in message


def test_there_are_two_hundred_of_them():
    lines = [line for line, _ in [*WRITTEN, *generated()]]
    assert len(set(lines)) >= 200


VALID = ["", *read("valid_lines.txt")]


@pytest.mark.parametrize("line", VALID)
def test_a_valid_line_passes(line):
    assert check_command(split(line)) is not None


def test_there_are_fifty_valid_lines():
    assert len(VALID) >= 50


@pytest.mark.parametrize("flag", ["--help", "--cfg=job", "--hydra-help", "--info=defaults"])
def test_flags_that_only_show_something_are_left_to_hydra(flag):
    check_command([flag, "fusion=nonsense"])


@pytest.mark.parametrize(
    "line",
    [
        "evaluate=[retreival]",
        "evaluate.retreival.unmatched=raise",
        "evaluate.retrieval.unmached=raise",
        "fusion=atention",
        "fusion.width=(",
    ],
)
def test_what_can_not_be_composed_is_told_by_a_flag_that_shows_as_by_a_run(line, capsys):
    with pytest.raises(ConfigError) as error:
        show(["--cfg", "job", line])
    assert str(error.value) == refusal(line)
    assert not capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "instead"),
    [
        ("seed=0,1", "seed=0"),
        ("fusion=concat,attention", "fusion=concat"),
        ("figures=pca,curves", "figures=pca, or figures=[pca,curves] for a list"),
        ("seed=choice(3,4)", "seed=3"),
    ],
)
def test_several_values_are_one_where_something_is_only_shown(line, instead, monkeypatch):
    """With -m, which a run is told to add, these flags are refused."""
    monkeypatch.setattr(HydraConfig.instance(), "cfg", None)  # which Hydra sets for the rest of the process
    with pytest.raises(ConfigError, match=rf"several values, where one is taken \(nearest: {re.escape(instead)}\)$"):
        show(["--cfg", "job", line])
    if "figures" not in line:
        show(["--cfg", "job", instead, "--package", "fusion"])


def test_each_thing_wrong_is_told_at_once():
    message = refusal("fusion.widht=1", "optim.lrr=1", "train.epochs=0")
    assert all(key in message for key in ("fusion.width", "optim.lr", "train.epochs")) or message.count("\n") == 1


def test_refusing_costs_little_and_imports_nothing_heavy():
    code = (
        "import sys, time\nfrom multimodal_lab.config.check import ConfigError, check_command\n"
        "try:\n    check_command(['fusion.heads=0'])\n    raise SystemExit('not refused')\nexcept ConfigError:\n    pass\n"
        "print(time.process_time(), [m for m in ('torch', 'numpy', 'pandas', 'timm', 'kornia') if m in sys.modules])"
    )
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(2)]
    assert all(run.stdout.split(" ", 1)[1].strip() == "[]" for run in runs)
    assert min(float(run.stdout.split()[0]) for run in runs) < 1.5


@pytest.fixture
def miniature(tmp_path):
    """A config tree of the caller's own: it chooses values, and builds only what the installed conf/ names."""

    def write(hydra="", extra=""):
        (tmp_path / "config.yaml").write_text(textwrap.dedent(hydra) + textwrap.dedent(extra))
        return [f"--config-path={tmp_path}"]

    return write


def test_a_sweep_named_in_a_config_is_expanded(miniature):
    argv = miniature("hydra: {mode: MULTIRUN, sweeper: {params: {seed: '0,-1'}}}\n", "seed: 0\n")
    assert "seed=-1: expected an integer >= 0" in refusal(*argv)


def test_a_sweeper_tells_what_is_wrong_with_the_jobs_that_it_makes(monkeypatch):
    asked = []

    def problems(jobs, overrides):
        asked.append((jobs.lines, [o.input_line for o in overrides]))
        return [Problem("trials", 0, "expected one or more", "trials=1")]

    check_command(["seed=0"])  # Hydra loads its plugins' modules anew when it first looks for them
    monkeypatch.setattr(get_class(SWEEPER), "problems", staticmethod(problems), raising=False)
    assert refusal("-m", "seed=0,-1", "hydra.verbose=true") == "trials=0: expected one or more (nearest: trials=1)"
    assert asked == [(["hydra.verbose=true", "hydra.mode=MULTIRUN", "seed=0,-1"], ["seed=0,-1", "hydra.verbose=true"])]


def test_the_check_knows_no_study_and_changes_nothing_of_hydra():
    assert "multimodal_lab.study" not in Path(check.__file__).read_text()
    check_command(["-m", "seed=0,1"])
    assert get_class(SWEEPER).validate_batch_is_legal is Sweeper.validate_batch_is_legal
    assert yaml.SafeLoader.__name__ == "SafeLoader"


@pytest.mark.parametrize(
    "line",
    [
        "hydra/job_logging=default hydra.job_logging.root.level=DEBUG",
        "hydra/hydra_logging=disabled",
        "hydra/job_logging=stdout hydra.output_subdir=.hydra",
        "-m seed=0,1 hydra/launcher=slurm hydra.launcher.partition=gpu 'hydra.launcher.setup=[module load cuda]'",
        "-m seed=0,1 hydra/launcher=slurm +hydra.launcher.additional_parameters.mail-user=a@b.org",
        "-m seed=0,1 hydra/launcher=joblib hydra.launcher.n_jobs=2 hydra.job.name=mine",
    ],
)
def test_what_hydra_itself_ships_and_what_is_typed_may_be_built(line):
    assert check_command(shlex.split(line)) is not None


def test_a_config_tree_of_ones_own_widens_nothing(miniature):
    message = refusal(*miniature("", "fusion: {_target_: os.system}\nhead: {_target_: multimodal_lab.run.os.system}\n"))
    assert "fusion._target_=os.system" in message
    assert "head._target_=multimodal_lab.run.os.system" in message
