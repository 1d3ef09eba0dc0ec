"""Embed files with a trained run: `python -m multimodal_lab.embed run=DIR data.root=/folder`.

Without `data=…` the run's own data are embedded, with the keys that are given changed: `data.root=/folder` is another
folder of such files. Scaling, statistics, classes and tokenizers are the training run's.
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from pathlib import Path

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from multimodal_lab import progress, stage
from multimodal_lab.config import compose, redact, resolvers, schema, written
from multimodal_lab.config.apply import apply
from multimodal_lab.config.check import check_command, refuse, sweep_problems
from multimodal_lab.config.directories import absent
from multimodal_lab.config.instantiate import conf_dir
from multimodal_lab.config.overrides import choice_problems, groups, is_choice, parse
from multimodal_lab.config.problem import ConfigError
from multimodal_lab.runs import directory
from multimodal_lab.runs.guarded import read_json
from multimodal_lab.runs.records import read_config, require_readable
from multimodal_lab.text import beside, expected_one_of, key_values, meant, plain_output, printable

USAGE = """usage: python -m multimodal_lab.embed run=DIR [out=DIR] [data=CHOICE] [data.KEY=VALUE …]

run    the directory of a finished run
out    where to write <stream>.parquet and <stream>.csv (default: DIR/embedded)
data   a data set other than the run's own; without, the run's own with these keys changed, such as data.root=/folder"""

WORDS = ("data=", "data.", "data/scaling=", "+data.", "+data/scaling=")
FOLLOW = ("root", "on_error", "verify")  # keys of `data` that shipped sources repeat
SEEN = (
    "scaling",
    "size",
    "resize",
    "resize_mode",
    "crop_pct",
    "background",
    "nodata",
)  # how stored numbers become inputs: the same for all of a run's files


def configured(folder: Path, overrides: list[str]) -> DictConfig:
    """The run's config, its `data` changed as the command line says.

    `data=…` chooses another data set; one read by the class that reads the run's own keeps the run's settings, and if it
    is the run's own, all that the line leaves alone. `ConfigError` for words that can't be followed.
    """
    written.require_whole(config := read_config(folder), folder)
    cfg = OmegaConf.create(config)
    if not overrides:
        return cfg
    known = groups((conf_dir(),))
    read, found = parse(overrides, ["data"], known)
    found += [p for o in read for p in (*choice_problems(o, known), *sweep_problems(o))]
    refuse(found)
    chosen = [o for o in read if is_choice(o, known)]
    values = [o for o in read if not is_choice(o, known)]
    names = [str(o.value()) for o in chosen if o.key_or_group == "data"]
    if chosen and not names:
        raise ConfigError(
            f"{chosen[0].input_line}: the run's own data keep the run's scaling; choose it along with data=…"
        )
    if names:
        new = _composed([str(o.input_line) for o in chosen])
        if new.source.get("_target_") != cfg.data.source.get("_target_") or len(chosen) > 1:
            check_command(overrides)
            cfg.data = _composed(overrides)
            return cfg
        if names[-1] != _its_choice(folder, names[-1]):
            for key in (k for k in SEEN if k in cfg.data):  # a run of an earlier version has fewer
                new[key] = cfg.data[key]
            cfg.data = new
    return _changed(cfg, values, known)


def without_labels(cfg: DictConfig) -> list[str]:
    """Let new files have no labels, as they need none; a sentence where the table of the run's labels is not there."""
    said = [
        note for member in (cfg.data.source.get("sources") or {}).values() for note in _unlabelled(_reader(member), cfg)
    ]
    return [*said, *_unlabelled(cfg.data.source, cfg)]


def _reader(member: DictConfig) -> DictConfig:
    """The reader of one of several sources: itself, or that of a data set."""
    found = member.get("source", member)
    assert isinstance(found, DictConfig)
    return found


def _unlabelled(source: DictConfig, cfg: DictConfig) -> list[str]:
    labels = source.get("labels")
    if OmegaConf.is_list(labels):
        source.labels = []
    if "missing_labels" in source:
        source.missing_labels = "keep"
    if not OmegaConf.is_dict(labels):
        return []
    if "missing_labels" in labels:
        labels.missing_labels = "keep"
    table = labels.get("table")
    root = source.get("root") or cfg.data.root
    if not table or (Path(str(root)).expanduser() / Path(table).expanduser()).is_file():
        return []
    labels.table = None
    return [f"data.source.labels.table={table} is not in {root}: the files are embedded without labels"]


def _composed(words: list[str]) -> DictConfig:
    data = compose.composed(words).data
    assert isinstance(data, DictConfig)
    OmegaConf.set_struct(data, False)
    return data


def _its_choice(folder: Path, otherwise: str) -> str:
    """The run's own `data=` choice; `otherwise` where it was not chosen by a command line."""
    summary = folder / "summary.json"
    try:
        told = read_json(summary) if summary.exists() else {}
    except (OSError, ValueError) as error:
        raise ConfigError(f"{summary}: can't be read ({error})") from error
    return str(told.get("choices/data", otherwise)) if isinstance(told, dict) else otherwise


def _changed(cfg: DictConfig, values: list[Override], known: dict[str, list[str]]) -> DictConfig:
    """`cfg`, its `data` set as `values` say; `ConfigError` where that can't be or gives no data that can be read."""
    for key in FOLLOW:  # a written config is resolved: they no longer follow
        _follow(cfg.data.source, key, cfg.data.get(key))
    OmegaConf.set_struct(cfg, True)
    refuse([p for p in (apply(o, cfg, known) for o in values) if p])
    refuse([p for p in schema.check(cfg) if p.key.split(".")[0] == "data"])
    return cfg


def asked(usage: str, keys: set[str]) -> tuple[dict[str, str], Path, list[str]]:
    """What a command about a trained run is given: its own words KEY=VALUE, the run's directory, the words of the data."""
    words, rest = key_values(sys.argv[1:], {"run", *keys})
    if {"-h", "--help"} & set(rest):
        print(usage)
        sys.exit()
    if "run" not in words:
        odd = next((word for word in rest if not word.startswith(WORDS)), None)
        why = f"; {odd}: {expected_one_of(odd.partition('=')[0], sorted({'run', *keys, 'data'}))}" if odd else ""
        sys.exit(f"error: run=DIR is missing{why}\n{usage}")
    folder = Path(words["run"])
    if not (folder / directory.CONFIG).is_file():
        sys.exit(f"error: run={folder}: no run here (expected {directory.CONFIG} in it){beside(folder)}")
    return words, folder, rest


def opened(folder: Path, rest: list[str], labels: bool = False, known: Collection[str] = ()) -> DictConfig:
    """The config of a run for the data that are asked for; refused before anything heavy is imported.

    Data may have no labels, unless these are needed. known: what else the command takes, for the nearest of it.
    """
    if wrong := [a for a in rest if not a.startswith(WORDS)]:
        near = f" (nearest: {own}=…)" if (own := meant(wrong[0].partition("=")[0], known)) else ""
        raise ConfigError(f"{wrong[0]}: only data=… and data.KEY=… can be given; the rest is the run's own{near}")
    require_readable(folder)
    cfg = configured(folder, rest)
    refuse([*absent(cfg)])
    for note in () if labels else without_labels(cfg):
        print(printable(note), file=sys.stderr)
    return cfg


def _follow(node: DictConfig, key: str, value: object) -> None:
    """Have `key` of a source, and of those that it is made of, be that of `data`, or a folder below it, as it was."""
    own = OmegaConf.to_container(node, resolve=False)
    here = own.get(key) if isinstance(own, dict) else None
    if here is not None and here == value:
        node[key] = f"${{data.{key}}}"
    elif isinstance(here, str) and isinstance(value, str) and here.startswith(f"{value.rstrip('/')}/"):
        node[key] = f"${{data.{key}}}{here.removeprefix(value.rstrip('/'))}"
    for member in (node.get("sources") or {}).values():
        _follow(member, key, value)
        if "source" in member:
            _follow(member.source, key, value)


def main() -> None:
    """The command line."""
    plain_output()
    resolvers.register()
    words, folder, rest = asked(USAGE, {"out"})
    try:
        cfg = opened(folder, rest)
        from multimodal_lab.experiment.reload import embed_files

        progress.show(True)
        print(embed_files(cfg, folder, Path(words.get("out", folder / "embedded"))))
    except OmegaConfBaseException as error:
        sys.exit(redact.text(f"error: {error}"))
    except Exception as error:
        stage.leave(error, redact.text)


if __name__ == "__main__":
    main()
