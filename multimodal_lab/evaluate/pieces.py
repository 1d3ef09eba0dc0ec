"""Which tokens of a text make which of its words."""

from __future__ import annotations

from typing import Any

MARKS = ("[begin]", "[end]")
Piece = tuple[str, list[int]]  # a word, and the places of its tokens


def pieces(tokens: Any, text: str) -> list[Piece]:
    """The words of `text` as they stand in it, each with the places of its tokens (see `Tokens.encode`), less what is cut.

    What begins or ends a text is `[begin]` or `[end]`.
    """
    begin, end = len(tokens.marks.begin), len(tokens.marks.end)
    found = tokens.tokenizer.encode(text, add_special_tokens=False)
    words: dict[Any, list[Any]] = {}
    count = min(len(found.ids), tokens.room)
    for i in range(count):
        own = found.word_ids[i]
        words.setdefault(("piece", i) if own is None else own, []).append((i, found.offsets[i]))
    made: list[Piece] = []
    for parts in words.values():
        first, last = min(a for _, (a, _) in parts), max(b for _, (_, b) in parts)
        made.append((text[first:last].strip() or found.tokens[parts[0][0]], [begin + i for i, _ in parts]))
    marks: list[Piece] = [(MARKS[0], [*range(begin)])] if begin else []
    ends: list[Piece] = [(MARKS[1], [*range(begin + count, begin + count + end)])] if end else []
    return [*marks, *made, *ends]
