"""What was being done when an error came, and the one sentence that tells of it.

The rule: an error that a `raise` statement of this package made, with words of its own, is a sentence meant for the user
and is told as it is. Any other one (a component's `KeyError`, a library's `ValueError`, an assertion, an error without
words) is told with its type, the place in a component's file, the stages it came through, and where its traceback is.
"""

from __future__ import annotations

import contextlib
import dis
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from multimodal_lab.text import printable

PACKAGE = Path(__file__).resolve().parent
TOLD = "told when the job failed"  # a note: a sweep need not say it again
_STAGE = "while "  # how a note of a stage begins
_RAISE = dis.opmap["RAISE_VARARGS"]
_STDLIB = str(Path(sysconfig.get_path("stdlib")).resolve())


@contextlib.contextmanager
def stage(doing: str) -> Iterator[None]:
    """Note on every error from inside what was being done, such as `building fusion`."""
    try:
        yield
    except Exception as error:
        error.add_note(_STAGE + doing)
        raise


@contextlib.contextmanager
def computing(system: Any, doing: str) -> Iterator[None]:
    """The same around a pass of `system`; the module of it that was running is noted, too.

    It is read off the traceback, so that the pass itself costs nothing and is compiled as ever.
    """
    try:
        yield
    except Exception as error:
        if inside := _module(system, error):
            error.add_note(_STAGE + inside)
        error.add_note(_STAGE + doing)
        raise


def sentence(error: BaseException, see: str) -> str:
    """One sentence for `error`, never empty; `see` is where its traceback is to be found."""
    words = _words(error)
    if words and deliberate(error):
        return printable(words)
    first = next((line.strip() for line in words.splitlines() if line.strip()), "")
    said = f"{type(error).__name__} '{first}'" if first else type(error).__name__
    found, stages = place(error), stages_of(error)
    said += f" in {found}" if found else ""
    if stages:
        said += f" while {stages[0]}" + (f" ({', '.join(stages[1:])})" if stages[1:] else "")
    return printable(f"{said}; see {see}")


def leave(error: Exception, hide: Callable[[str], str] = str) -> NoReturn:
    """End a command that has no run directory of its own: exit 1 with the sentence, a traceback before it where it refers.

    hide: takes secrets out of what is printed.
    """
    if isinstance(error, OSError) and error.filename and error.strerror and _is_file_access(error):
        sys.exit(printable(hide(f"error: {error.filename}: {error.strerror}"), one_line=True))
    if not (_words(error) and deliberate(error)):
        print(printable(hide("".join(traceback.format_exception(error)))), end="", file=sys.stderr)
    sys.exit(hide(f"error: {sentence(error, 'the traceback above')}"))


def deliberate(error: BaseException) -> bool:
    """Whether a `raise` statement in a file of this package made `error`; an assertion is none."""
    frames = _frames(error)
    if not frames or isinstance(error, AssertionError):
        return False
    frame, at, _ = frames[-1]
    return _is_ours(frame) and frame.f_code.co_code[at] == _RAISE


def place(error: BaseException) -> str:
    """`fusion/film.py:19`: the innermost line in a file of this package, of an extension or of the user's own; or ""."""
    known = {point.module.partition(".")[0] for point in metadata.entry_points(group="multimodal_lab.targets")}
    for frame, _, line in reversed(_frames(error)):
        name = str(frame.f_globals.get("__name__", ""))
        file = Path(frame.f_code.co_filename)
        if _is_ours(frame):
            return f"{file.resolve().relative_to(PACKAGE)}:{line}"
        if name.partition(".")[0] in known or _is_users(file):
            return f"{file.name if name in {'', '__main__'} else name.replace('.', '/') + '.py'}:{line}"
    return ""


def stages_of(error: BaseException) -> list[str]:
    """What was being done, the innermost first."""
    return [n.removeprefix(_STAGE) for n in getattr(error, "__notes__", ()) if n.startswith(_STAGE)]


def _words(error: BaseException) -> str:
    # str of a KeyError is the repr of its argument
    return str(error.args[0] if isinstance(error, KeyError) and error.args else error).strip()


def _frames(error: BaseException) -> list[tuple[FrameType, int, int]]:
    found, at = [], error.__traceback__
    while at is not None:
        found.append((at.tb_frame, at.tb_lasti, at.tb_lineno))
        at = at.tb_next
    return found


def _is_ours(frame: FrameType) -> bool:
    return Path(frame.f_code.co_filename).resolve().is_relative_to(PACKAGE)


def _is_file_access(error: OSError) -> bool:
    """Whether the standard library raised it, asked by a file of this package: the path and the reason say it all."""
    frames = [frame for frame, _, _ in _frames(error)]
    while frames and _is_stdlib(Path(frames[-1].f_code.co_filename)):
        frames.pop()
    return bool(frames) and _is_ours(frames[-1])


def _is_stdlib(file: Path) -> bool:
    return str(file.resolve()).startswith(_STDLIB) and not _is_installed(file)


def _is_installed(file: Path) -> bool:
    return bool({"site-packages", "dist-packages"} & set(file.parts))


def _is_users(file: Path) -> bool:
    return file.is_file() and not _is_installed(file) and not _is_stdlib(file)


def _module(system: Any, error: BaseException) -> str:
    """What the innermost module of `system` in the traceback does there."""
    names = {id(module): name for name, module in system.named_modules() if name}
    running = [names.get(id(frame.f_locals.get("self")), "") for frame, _, _ in _frames(error)]
    name = next((n for n in reversed(running) if n), "")
    kind, _, rest = name.partition(".")
    own = rest.removeprefix("each.").partition(".")[0]
    if kind == "backbones":
        return f"computing the backbone of stream {own}" if rest.startswith("each.") else "computing the backbones"
    known = {
        "normalise": f"normalising stream {own}",
        "heads": f"computing head {own}",
        "losses": f"computing loss {own}",
    }
    return known.get(kind, f"computing {kind}") if name else ""
