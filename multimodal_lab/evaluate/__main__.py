"""Judge without training: a trained run (`run=DIR`), or a system as it begins (`system=clip_pretrained model=/dir/or/hub/id`)."""

from __future__ import annotations

import sys
from pathlib import Path

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from multimodal_lab import progress, stage
from multimodal_lab.config import compose, redact, resolvers, schema
from multimodal_lab.config.apply import apply
from multimodal_lab.config.check import refuse, sweep_problems
from multimodal_lab.config.instantiate import conf_dir
from multimodal_lab.config.overrides import choice_problems, groups, is_choice, parse
from multimodal_lab.config.problem import ConfigError
from multimodal_lab.embed import WORDS, asked, opened
from multimodal_lab.runs import directory
from multimodal_lab.text import expected_one_of, key_values, plain_output

USAGE = """usage: python -m multimodal_lab.evaluate run=DIR [out=DIR] [split=test] [seen=allow] [data=CHOICE] [data.KEY=VALUE …]
       [evaluate=[…]] [eval_split=val] [label=…] [figures=[…]] [modality_subsets=true] [device=…]
       python -m multimodal_lab.evaluate system=NAME model=WEIGHTS [out=DIR] [split=test] [data=CHOICE] [KEY=VALUE …]

run     the directory of a finished run
out     where to write (default: DIR/evaluated/NAME, a new one each time): the files and tables of a run, without checkpoints
data    a data set other than the run's own; without, the run's own with these keys changed, such as data.root=/folder

The run's own data have the run's own splits; others, and its own with data.split.KEY=VALUE, are split as data.split says: what an
evaluator fits, such as a probe, it fits on their training split.

split   test: every sample is held out, and only what needs no training split is scored
seen    allow: held-out samples may be called like ones that the run was trained on, or hold the same

system  a choice of conf/experiment, judged as it begins, nothing trained: clip_pretrained, siglip_pretrained
model   its weights: a directory of transformers, or an id of the Hugging Face hub that is in the cache (backbone.weights=…)
out     where to write (default: a new directory below runs): all that a run writes, so that predict, embed and explore take it,
        but the weights, which stay where they are
KEY     whatever `python -m multimodal_lab.run experiment=NAME` takes"""
OWN = (
    "evaluate",
    "eval_split",
    "label",
    "figures",
    "modality_subsets",
    "objective",
    "device",
)  # keys that may be changed
FIXED = {"split": ("test",), "seen": ("allow",)}


def changed(cfg: DictConfig, words: list[str]) -> DictConfig:
    """The config with the evaluators, the split and the figures that are asked for; `ConfigError` for what can't be."""
    known = groups((conf_dir(),))
    read, found = parse(words, list(OWN), known)
    found += [p for o in read for p in (*choice_problems(o, known), *sweep_problems(o))]
    refuse(found)
    OmegaConf.set_struct(cfg, True)
    for override in read:
        if is_choice(override, known):
            cfg.evaluate = _chosen(override)
        else:
            refuse([p for p in [apply(override, cfg, known)] if p])
    refuse([p for p in schema.check(cfg) if p.key.split(".")[0] in OWN])
    return cfg


def _chosen(override: Override) -> DictConfig:
    made = OmegaConf.to_container(compose.composed([str(override.input_line)]), resolve=False)
    assert isinstance(made, dict)
    chosen: DictConfig = OmegaConf.create(dict(made["evaluate"]))
    return chosen


def _begins(word: str, key: str) -> bool:
    return word.lstrip("+~").startswith((f"{key}=", f"{key}."))


def untrained(words: list[str]) -> None:
    """The command line of a system as it begins."""
    given, rest = key_values(words, {"system", "model", "run", "out", *FIXED})
    out = Path(given["out"]) if "out" in given else Path("runs") / directory.run_id()
    try:
        for key in ("run", "seen"):
            if key in given:
                raise ConfigError(
                    f"{key}={given[key]}: goes with a trained run; a system as it begins has seen nothing"
                )
        _require_fixed(given)
        from multimodal_lab.experiment.untrained import evaluate_system

        evaluate_system(given["system"], out, given.get("model"), rest, "split" in given)
    except OmegaConfBaseException as error:
        raise SystemExit(f"error: {error}") from None
    except Exception as error:
        stage.leave(error, redact.text)


def _require_fixed(words: dict[str, str]) -> None:
    for key, allowed in FIXED.items():
        if words.get(key, allowed[0]) not in allowed:
            raise ConfigError(f"{key}={words[key]}: {expected_one_of(words[key], allowed)}")


def main() -> None:
    """The command line."""
    plain_output()
    resolvers.register()
    if any(word.startswith("system=") for word in sys.argv[1:]) and not {"-h", "--help"} & {*sys.argv[1:]}:
        return untrained(sys.argv[1:])
    words, folder, rest = asked(USAGE, {"out", *FIXED})
    out = Path(words.get("out", folder / "evaluated" / directory.run_id()))
    try:
        _require_fixed(words)
        own = [word for word in rest if any(_begins(word, key) for key in OWN)]
        of_data = [word for word in rest if word not in own]
        if wrong := [word for word in of_data if not word.startswith(WORDS)]:
            can = ", ".join(f"{key}=…" for key in ("out", "data", *OWN))
            raise ConfigError(f"{wrong[0]}: only {can} can be given; the rest is the run's own")
        cfg = changed(opened(folder, of_data, labels=True), own)
        resplit = any(word.lstrip("+").startswith("data.split") for word in of_data)
        if directory.used(out):
            raise ConfigError(f"out={out}: a run or an evaluation is here already; give another out=DIR")
        directory.claim(out, resume=False)
        from multimodal_lab.experiment.judge import judge

        progress.show(True)
        judge(cfg, folder, out, "test" if "split" in words else "always" if resplit else "others", "seen" in words)
    except OmegaConfBaseException as error:
        raise SystemExit(f"error: {error}") from None
    except Exception as error:
        stage.leave(error, redact.text)
    finally:
        directory.release(out)


if __name__ == "__main__":
    main()
