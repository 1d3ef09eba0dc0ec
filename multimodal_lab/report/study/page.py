"""Render a report as self-contained HTML without scripts, and as Markdown; all text is escaped."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path

from multimodal_lab.report.study.elements import Report, Table

TEMPLATE = Path(__file__).with_name("template.html.j2")
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+!|~&-])")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")


def html(report: Report) -> str:
    """The page. Jinja escapes every value; the policy in its head forbids scripts and anything from elsewhere."""
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["image"] = _image
    environment.filters["png"] = _png
    environment.filters["clean"] = clean
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(report=report)


def markdown(report: Report) -> str:
    """The same for a repository or a mail."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    yield f"# {_plain(report.title)}: {report.asks[:1].lower()}{report.asks[1:]}"
    yield ""
    for card in report.cards:
        yield f"- **{_plain(card.label)}: {_plain(card.sentence)}**"
        for word in card.words:
            gain = f" ({_plain(word.gain)})" if word.gain else ""
            yield f"  - {word.mark} **{_plain(word.title)}**{gain}: {_plain(word.why)}"
        yield from (f"  - {_plain(text)}." for text in (card.knows, card.others) if text)
    if report.explorer:
        yield from ("", f"[Look around in the embeddings]({report.explorer}) of one fused run.")
    for section in report.sections:
        yield from ("", f"## {_plain(section.title)}", "")
        yield from (f"- {_plain(s)}" for s in section.sentences)
        for table in section.tables:
            yield from ("", *_table(table))
        for title, path in section.figures:
            yield from ("", f"![{_plain(title)}](figures/{path.name})")
        if section.pictures:
            yield ""
            yield " ".join(f"![{_plain(p.name)}](gallery/{p.path.name})" for p in section.pictures)
        if section.command:
            yield from ("", "    " + clean(section.command))


def _table(table: Table) -> Iterator[str]:
    if table.caption:
        yield from (_plain(table.caption), "")
    yield "| " + " | ".join(map(_plain, table.head)) + " |"
    yield "|" + "---|" * len(table.head)
    yield from ("| " + " | ".join(map(_plain, row)) + " |" for row in table.rows)


def _plain(text: str) -> str:
    return (
        _SPECIAL.sub(r"\\\1", clean(text))
        .replace("://", ":\u200b//")
        .replace("www.", "www\u200b.")
        .replace("@", "@\u200b")
    )


def clean(text: object) -> str:
    """On one line, without characters that turn or hide text."""
    return _CONTROL.sub(" ", str(text))


def _png(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def _image(path: Path) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(path.read_bytes()).decode()
