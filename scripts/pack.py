"""Pack any data set of conf/data into one store for fast random access.

python scripts/pack.py data=multispectral_tiff data.root=/folder out=DIR [workers=2] [rate=50] [duplicates=refuse]
python scripts/pack.py --verify DIR [workers=2]

data        a data set, with its keys, as for `python -m multimodal_lab.run`
out         a new folder, or one one where packing stopped, which is continued
workers     processes (default: the cores of this machine)
rate        Hz that recordings are brought to, where their own times are irregular, or their rates differ
duplicates  refuse (default) samples of equal values in two splits, or only report them
--verify    read and hash every record again; exit 1 if one is damaged

Then: python -m multimodal_lab.run data=packed data.root=DIR …
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

from multimodal_lab.text import key_values, plain_output

WORDS = ("out", "workers", "rate", "duplicates")
CHOICES = ("labels", "size", "resize", "resize_mode", "background", "nodata", "scaling", "batch_size", "crop_pct")


def main() -> None:
    """The command line: exit 0 when done, 1 for bad data or a damaged store, 2 for words that can't be."""
    plain_output()
    words, rest = key_values(sys.argv[1:], WORDS)
    if not rest or {"-h", "--help"} & set(rest):
        print(__doc__)
        return
    if not words.get("workers", "1").isdecimal() or int(words.get("workers", "1")) < 1:
        refuse(f"workers={words['workers']}: expected a whole number from 1")
    if words.get("duplicates", "refuse") not in ("refuse", "report"):
        refuse(f"duplicates={words['duplicates']}: expected refuse or report")
    workers = int(words.get("workers", len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1))
    if rest[0] == "--verify":
        folder = rest[1] if len(rest) == 2 else refuse("--verify: expected one folder")
        verify(Path(folder), workers)
        return
    wrong = [
        a
        for a in rest
        if not a.startswith(("data=", "data.", "+data.", "+data/", "+data@data.", "data@data.", "~data."))
    ]
    if wrong:
        refuse(f"{wrong[0]}: only data=…, data.KEY=…, {', '.join(f'{w}=…' for w in WORDS)} and --verify can be given")
    if "out" not in words:
        refuse("out=DIR is missing: where to write the store")
    pack(rest, Path(words["out"]), workers, words.get("duplicates", "refuse"), hertz(words.get("rate")))


def hertz(word: str | None) -> float | None:
    """The rate that is asked for."""
    if word is None:
        return None
    try:
        rate = float(word)
    except ValueError:
        rate = 0.0
    return rate if 0 < rate < float("inf") else refuse(f"rate={word}: expected a number of Hz above 0")


def pack(overrides: list[str], out: Path, workers: int, duplicates: str, rate: float | None = None) -> None:
    """Compose, check, probe, write, seal, and say what was made."""
    began = time.monotonic()
    node = composed(overrides)
    from multimodal_lab.config.instantiate import safe_instantiate
    from multimodal_lab.data.fitted_cache import described
    from multimodal_lab.data.packed import finalize, writer
    from multimodal_lab.data.packed.format import MANIFEST
    from multimodal_lab.data.packed.probe import probe
    from multimodal_lab.data.readers.fingerprint import fingerprint
    from multimodal_lab.data.streams.own_scaling import spelt_out

    try:
        data = safe_instantiate(node)
        mark = fingerprint(data.source, data.root) + ("" if rate is None else f":{rate:g}Hz")
        if (out / MANIFEST).is_file():
            finalize.require_same(out, data.source, mark, data.resize.keys())
            print(f"{out} is packed already; --verify checks it")
            return
        offer = probe(data.source, data.resize, rate=rate)
        if rate is not None and not any(part.steps for part in offer.parts):
            refuse(f"rate={rate:g}: what {node['source']['_target_']} reads has no time axis")
        sized = {"size": offer.resize} if offer.resize else {}
        plan = writer.begin(data.source, offer, out, {"fingerprint": mark, **sized})
        writer.require_space(plan)
        writer.write(plan, workers, shown("packed"))
        splits = finalize.split_of(plan, data.split, data.labels)
        choices = (
            {k: node[k] for k in CHOICES}
            | {"scaling": spelt_out(node, described(data.scaling))}
            | {"split": {k: v for k, v in node["split"].items() if k != "_target_"}}
        )
        made = finalize.finish(plan, mark, choices, splits, duplicates)
    except (ValueError, OSError, ImportError) as error:
        sys.exit(f"error: {error}")
    print(summary(out, made, time.monotonic() - began))


def composed(overrides: list[str]) -> dict[str, Any]:
    """The `data` node of the config, checked as a run's is, in plain values."""
    from omegaconf import OmegaConf

    from multimodal_lab.config import compose, resolvers
    from multimodal_lab.config.check import check_command
    from multimodal_lab.config.problem import ConfigError

    resolvers.register()
    try:
        check_command(overrides)
    except ConfigError as error:
        refuse(str(error))
    found: Any = OmegaConf.to_container(compose.composed(overrides).data, resolve=True)
    return dict(found)


def verify(folder: Path, workers: int) -> None:
    """Hash every record again."""
    from multimodal_lab.data.packed import finalize

    began = time.monotonic()
    try:
        bad = finalize.verify(folder, workers, shown("verified"))
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    print("\n".join([*bad, f"{folder}: {len(bad)} damaged records, {time.monotonic() - began:.1f} s"]))
    sys.exit(1 if bad else 0)


def shown(verb: str) -> Any:
    """A function (done, all) that shows progress: one changing line on a terminal, else a line every tenth."""
    last = [-1]

    def show(done: int, total: int) -> None:
        tenth = 10 * done // max(1, total)
        if sys.stderr.isatty():
            print(
                f"\r{verb} {done:,} of {total:,} samples",
                end="\n" if done == total else "",
                file=sys.stderr,
                flush=True,
            )
        elif tenth != last[0]:
            print(f"{verb} {done:,} of {total:,} samples", file=sys.stderr, flush=True)
        last[0] = tenth

    return show


def summary(out: Path, made: dict[str, Any], seconds: float) -> str:
    """What the store holds, in a few lines."""
    size = sum(s["bytes"] for s in made["shards"])
    kinds = [f"{len(p['bands'])} bands of {p['dtype'][1:]} ({p['kind']}{' ' + p['field'] if p['field'] else ''})"
             for p in made["parts"] if p["kind"] not in ("mask", "missing")]  # fmt: skip
    lines = [
        f"{made['count']:,} samples: {', '.join([*kinds, *(f'text {t}' for t in made['texts'])])}",
        f"{size:,} bytes in {len(made['shards'])} shards, hashed by {made['hash']}, {seconds:.1f} s",
        "split: " + (", ".join(f"{n} {s}" for s, n in made["splits"].items()) or "none that these choices can give"),
        *(f"equal values in two splits: {pair}" for pair in made["duplicates"][:5]),
        f"written to {out}; train on it with data=packed data.root={out}",
    ]
    return "\n".join(lines)


def refuse(message: str) -> Any:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
