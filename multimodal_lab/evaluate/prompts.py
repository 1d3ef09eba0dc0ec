"""The texts that stand for classes in zero-shot classification."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from multimodal_lab.evaluate.templates import PLACE
from multimodal_lab.text import expected_one_of, printable

Names = Mapping[str, str | Sequence[str]]


@dataclass(frozen=True)
class Prompts:
    """texts (T,): those of the first class first, every name of it in every template; owner (T,): the class of each."""

    texts: tuple[str, ...]
    owner: tuple[int, ...]


def prompts(templates: Sequence[str], names: Sequence[Sequence[str]]) -> Prompts:
    """The texts of K classes; names (K,): what each is called, one name or several synonyms."""
    found = [(t.replace(PLACE, name), i) for i, own in enumerate(names) for name in own for t in templates]
    texts, owner = zip(*found, strict=True) if found else ((), ())
    return Prompts(texts, owner)


def chunks(templates: Sequence[str], names: Sequence[Sequence[str]], most: int) -> Iterator[tuple[int, Prompts]]:
    """(first class, prompts) of runs of classes, each of about `most` texts: those of all ImageNet need not lie in memory."""
    first, texts = 0, 0
    for i, own in enumerate(names):
        texts += len(own) * len(templates)
        if texts >= most or i + 1 == len(names):
            yield first, prompts(templates, names[first : i + 1])
            first, texts = i + 1, 0


def spelt(classes: Sequence[str], names: Names, key: str) -> list[list[str]]:
    """(K,) what each class is called in prompts: what `names` says of it, one name or several, else itself.

    key: what errors call `names` by. `ValueError` for a class that there is not, an empty name, and a name given twice, of one
    class or of two, which nothing could then tell apart.
    """
    if unknown := [str(name) for name in names if str(name) not in classes]:
        raise ValueError(f"{key}: no class {printable(unknown[0])!r}; {expected_one_of(unknown[0], classes)}")
    told = {str(name): own for name, own in names.items()}
    found = []
    owner: dict[str, str] = {}
    for one in map(str, classes):
        own = told.get(one, one)
        called = [str(n).strip() for n in ([own] if isinstance(own, str) else own)]
        if not called or not all(called):
            raise ValueError(
                f"{key}: class {printable(one)!r} has {'an empty' if called else 'no'} name; expected text"
            )
        for name in called:
            if name in owner:
                of = f"class {printable(one)!r}" if owner[name] == one else f"classes {owner[name]!r} and {one!r}"
                raise ValueError(
                    f"{key}: the name {printable(name)!r} stands there twice, of {printable(of)}; give each once"
                )
            owner[name] = one
        found.append(called)
    return found
