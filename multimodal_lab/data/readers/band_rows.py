"""Rows of samples whose bands or sensors are files of their own: files grouped by their names, sensors joined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal

import pandas as pd

from multimodal_lab.bounds import Natural
from multimodal_lab.data.readers.coordinates import COLUMNS
from multimodal_lab.data.readers.labels import RESERVED
from multimodal_lab.data.readers.path_template import GROUP, Match, PathTemplate
from multimodal_lab.data.source import DataError
from multimodal_lab.text import expected_one_of, some

KEEP = "data.source.missing=keep keeps them with these streams missing"


@dataclass(frozen=True)
class NearestDate:
    """Which files of other sensors go with those of the first: equal in the groups `by`, and nearest in time.

    date: the group of each template that begins with a day as YYYYMMDD. days: at most so many lie between them. A file goes with
    one sample only, the nearest pairs first.
    """

    by: list[str]
    date: str = "date"
    days: Natural = 30


@dataclass
class Part:
    """The files of one sensor in one sample: {band, or "" of all: path}, and what their names say."""

    groups: dict[str, str]
    files: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Sample:
    """One row: its name, and each sensor's files, where there are any."""

    id: str
    parts: dict[str, Part]


def require_groups(templates: Mapping[str, PathTemplate], id: str, pair: NearestDate | None) -> None:
    """`DataError` for a template that lacks a group which `id` or `pair` needs."""
    wanted = [m[1] for m in GROUP.finditer(id)]
    for place, (sensor, template) in enumerate(templates.items()):
        named = pair is None or place == 0
        for group in [*(wanted if named else []), *([*pair.by, pair.date] if pair else [])]:
            if group not in template.groups:
                other = f"; data.source.id makes a name of other groups, such as '{{{template.groups[0]}}}'"
                raise DataError(
                    f"data.source.files.{sensor}: {template.template!r} has no {{{group}}}; "
                    f"{expected_one_of(group, template.groups)}{other if template.groups and named else ''}"
                )


def samples(
    templates: Mapping[str, PathTemplate],
    matches: Mapping[str, Sequence[Match]],
    id: str,
    pair: NearestDate | None,
) -> list[Sample]:
    """The samples, by name; `DataError` for two files of one band, or two samples of one name.

    id: a sample's name, of groups of the first sensor's template (of every one's, without `pair`).
    """
    first = next(iter(templates))
    parts = {sensor: _parts(found, sensor) for sensor, found in matches.items()}
    named = {
        sensor: {_fill(id, p.groups): p for p in own}
        for sensor, own in parts.items()
        if pair is None or sensor == first
    }
    for sensor, own in named.items():
        if len(own) < len(parts[sensor]):
            raise DataError(
                f"data.source.id: {id!r} names {len(own)} samples of the {len(parts[sensor])} that files of {sensor} make; "
                f"expected a name of its own for each, of the groups {', '.join(templates[sensor].groups)}"
            )
    if pair is None:
        names = sorted({name for own in named.values() for name in own})
        return [Sample(n, {s: own[n] for s, own in named.items() if n in own}) for n in names]
    rows = {name: {first: part} for name, part in sorted(named[first].items())}
    for sensor in list(templates)[1:]:
        for name, part in _nearest(named[first], parts[sensor], pair):
            rows[name][sensor] = part
    return [Sample(name, own) for name, own in rows.items()]


def columns(rows: Sequence[Sample], sensors: Sequence[str]) -> pd.DataFrame:
    """A column for every group that names have beside `id`, None where a sample has no such file.

    A group that another sensor fills otherwise is called after that sensor, too: `s1_date`.
    """
    made: dict[str, list[str | None]] = {}
    for sensor in sensors:
        own = [row.parts.get(sensor) for row in rows]
        for group in dict.fromkeys(g for part in own if part for g in part.groups if g != "id"):
            values = [part.groups.get(group) if part else None for part in own]
            known = made.get(group)
            if known is None:
                made[group] = values
            elif all(a == b for a, b in zip(known, values) if a is not None and b is not None):
                made[group] = [b if a is None else a for a, b in zip(known, values)]
            else:
                made[f"{sensor}_{group}"] = values
    if taken := [name for name in made if name in (*RESERVED, *COLUMNS)]:
        raise DataError(
            f"data.source.files: a group is called {taken[0]!r}, which is the reader's own column; rename it"
        )
    return pd.DataFrame(made, index=range(len(rows)), dtype=object)


def gaps(
    rows: Sequence[Sample], wanted: Mapping[str, Sequence[str]], templates: Mapping[str, PathTemplate],
    missing: Literal["refuse", "keep"],
) -> list[str]:  # fmt: skip
    """What to tell of files that samples lack, of the bands `wanted` of each sensor; refused unless they are to be kept."""
    notes = []
    for sensor, names in wanted.items():
        lacking = [(row, [n for n in names if n not in _files(row, sensor)]) for row in rows]
        lacking = [(row, gone) for row, gone in lacking if gone]
        if not lacking:
            continue
        row, gone = lacking[0]
        part = row.parts.get(sensor)
        template = templates[sensor]
        like = template.fill({**(part.groups if part else {"id": row.id}), "band": gone[0]})
        everywhere = [n for n in names if all(n in lost for _, lost in lacking)] if len(lacking) == len(rows) else []
        also = (
            f"; none has {', '.join(everywhere)}: take them off data.source.bands.{sensor}" if any(everywhere) else ""
        )
        bands = f"{', '.join(gone)} of " if any(gone) else ""
        said = (
            f"sample {row.id!r} has no file of {bands}{sensor} ({like}); files are missing in {len(lacking)} of {len(rows)} "
            f"samples: {some([r.id for r, _ in lacking])}{also}"
        )
        if missing == "refuse":
            raise DataError(f"{said} ({KEEP})")
        notes.append(f"{said}; these streams are missing there")
    return notes


def _files(row: Sample, sensor: str) -> dict[str, str]:
    return row.parts[sensor].files if sensor in row.parts else {}


def _parts(found: Sequence[Match], sensor: str) -> list[Part]:
    """Files of one sensor that agree in all groups belong together."""
    made: dict[tuple[str, ...], Part] = {}
    for match in found:
        part = made.setdefault(tuple(match.groups.values()), Part(match.groups))
        if match.band in part.files:
            what = f"band {match.band} of {sensor}" if match.band else sensor
            raise DataError(
                f"data.source.files.{sensor}: {part.files[match.band]} and {match.path} are both {what} of one sample"
            )
        part.files[match.band] = match.path
    return list(made.values())


def _fill(pattern: str, groups: Mapping[str, str]) -> str:
    return GROUP.sub(lambda m: groups[m[1]], pattern)


def _nearest(rows: Mapping[str, Part], parts: Sequence[Part], pair: NearestDate) -> list[tuple[str, Part]]:
    """Pairs of a row's name and another sensor's part, each used once, those of fewest days between them first."""
    there: dict[tuple[str, ...], list[Part]] = {}
    for part in parts:
        there.setdefault(tuple(part.groups[g] for g in pair.by), []).append(part)
    pairs = []
    for name, own in rows.items():
        for at, part in enumerate(there.get(tuple(own.groups[g] for g in pair.by), [])):
            apart = abs((_day(own, pair.date) - _day(part, pair.date)).days)
            if apart <= pair.days:
                pairs.append((apart, name, at, part))
    taken_rows, taken_parts, found = set[str](), set[int](), []
    for _, name, _, part in sorted(pairs, key=lambda p: p[:3]):
        if name not in taken_rows and id(part) not in taken_parts:
            taken_rows.add(name)
            taken_parts.add(id(part))
            found.append((name, part))
    return found


def _day(part: Part, group: str) -> date:
    text = part.groups[group]
    try:
        return datetime.strptime(text[:8], "%Y%m%d").date()
    except ValueError:
        file = next(iter(part.files.values()))
        raise DataError(f"{file}: {group} is {text!r}, expected a day as YYYYMMDD (data.source.pair.date)") from None
