"""Prompt templates of zero-shot classification: named sets, those of a file, those of a config."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from multimodal_lab.text import expected_one_of, printable

PLACE = "{}"  # where the class's name goes
# The seven that OpenAI's notebook on ImageNet chose out of its 80 by forward selection, and all 80 (Radford 2021, sec. 3.1.4).
SIMPLE = (
    "itap of a {}.", "a bad photo of the {}.", "a origami {}.", "a photo of the large {}.", "a {} in a video game.",
    "art of the {}.", "a photo of the small {}.",
)  # fmt: skip
IMAGENET = (
    "a bad photo of a {}.", "a photo of many {}.", "a sculpture of a {}.", "a photo of the hard to see {}.",
    "a low resolution photo of the {}.", "a rendering of a {}.", "graffiti of a {}.", "a bad photo of the {}.",
    "a cropped photo of the {}.", "a tattoo of a {}.", "the embroidered {}.", "a photo of a hard to see {}.",
    "a bright photo of a {}.", "a photo of a clean {}.", "a photo of a dirty {}.", "a dark photo of the {}.",
    "a drawing of a {}.", "a photo of my {}.", "the plastic {}.", "a photo of the cool {}.",
    "a close-up photo of a {}.", "a black and white photo of the {}.", "a painting of the {}.",
    "a painting of a {}.", "a pixelated photo of the {}.", "a sculpture of the {}.", "a bright photo of the {}.",
    "a cropped photo of a {}.", "a plastic {}.", "a photo of the dirty {}.", "a jpeg corrupted photo of a {}.",
    "a blurry photo of the {}.", "a photo of the {}.", "a good photo of the {}.", "a rendering of the {}.",
    "a {} in a video game.", "a photo of one {}.", "a doodle of a {}.", "a close-up photo of the {}.",
    "a photo of a {}.", "the origami {}.", "the {} in a video game.", "a sketch of a {}.", "a doodle of the {}.",
    "a origami {}.", "a low resolution photo of a {}.", "the toy {}.", "a rendition of the {}.",
    "a photo of the clean {}.", "a photo of a large {}.", "a rendition of a {}.", "a photo of a nice {}.",
    "a photo of a weird {}.", "a blurry photo of a {}.", "a cartoon {}.", "art of a {}.", "a sketch of the {}.",
    "a embroidered {}.", "a pixelated photo of a {}.", "itap of the {}.", "a jpeg corrupted photo of the {}.",
    "a good photo of a {}.", "a plushie {}.", "a photo of the nice {}.", "a photo of the small {}.",
    "a photo of the weird {}.", "the cartoon {}.", "art of the {}.", "a drawing of the {}.",
    "a photo of the large {}.", "a black and white photo of a {}.", "the plushie {}.", "a dark photo of a {}.",
    "itap of a {}.", "graffiti of the {}.", "a toy {}.", "itap of my {}.", "a photo of a cool {}.",
    "a photo of a small {}.", "a tattoo of the {}.",
)  # fmt: skip
# those by which CLAP was judged on ESC-50: LAION (Wu 2023) and Microsoft (Elizalde 2023, section 3)
SOUND = ("This is a sound of {}.", "This is the sound of {}.")
NAMED = {"simple": SIMPLE, "imagenet": IMAGENET, "sound": SOUND}


def read(templates: str | Sequence[str], key: str = "templates") -> tuple[str, ...]:
    """The templates of a named set, of a text file with one a line, or of a list; each has `{}` once, where the name goes.

    key: what errors call them by. `ValueError` for a name or file that is not there, a template without `{}` or with several,
    one that stands there twice, and none at all.
    """
    if isinstance(templates, str) and PLACE in templates:
        templates = [templates]
    found = _named(templates, key) if isinstance(templates, str) else tuple(templates)
    if not found:
        raise ValueError(f'{key}: no template; expected one or more, such as "a photo of a {PLACE}"')
    for one in found:
        if (count := one.count(PLACE)) != 1:
            how = f"{count} times {PLACE}" if count else f"no {PLACE}"
            raise ValueError(
                f"{key}: the template {printable(one)!r} has {how}; expected one {PLACE}, where the name of the class goes, "
                f'such as "a photo of a {PLACE}"'
            )
    if twice := [one for i, one in enumerate(found) if one in found[:i]]:
        raise ValueError(f"{key}: the template {printable(twice[0])!r} stands there twice; expected each once")
    return found


def _named(name: str, key: str) -> tuple[str, ...]:
    if name in NAMED:
        return NAMED[name]
    path = Path(name).expanduser()
    if not path.suffix:
        raise ValueError(
            f"{key}={printable(name)}: {expected_one_of(name, NAMED)}; or a file with a template a line, or a list of them"
        )
    return tuple(lines(path, key))


def lines(path: Path, key: str) -> list[str]:
    """The lines of a UTF-8 text file that are not empty, without spaces around; `ValueError` where it can't be read."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ValueError(f"{key}={path}: {error.strerror or error}; expected a text file, one a line") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{key}={path}: no text in UTF-8; expected a text file, one a line") from error
    return [line.strip() for line in text.splitlines() if line.strip()]
