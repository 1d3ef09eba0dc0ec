"""A tokenizer of a file: tokenizer.json of the package tokenizers, as transformers saves it beside a text model."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer

from multimodal_lab.data.source import DataError
from multimodal_lab.data.streams.tokenizer import Marks, Tokens
from multimodal_lab.pretrained.tokenizer import read, settings, tokenizer_file, tokenizer_json

PADS = ("[PAD]", "<pad>", "<|pad|>")  # by these names a vocabulary has one, where no file beside it says which


def load(path: str, length: int, key: str) -> Tokens:
    """The tokenizer of a file or a directory, its marks as it sets them itself; `DataError`, which begins with `key`.

    What begins and ends a text is seen from what it makes of one. The padding token is named by tokenizer_config.json or
    special_tokens_map.json (`pad_token`), by its own padding, or by config.json (`pad_token_id`); else it is the only one of
    the usual names. It stands on the `padding_side` of tokenizer_config.json, right where nothing says so.
    """
    file = tokenizer_file(path)
    if not file.is_file():
        what = (
            f"no {file.name} in this directory"
            if file != Path(path).expanduser()
            else f"no such file ({file.absolute()})"
        )
        raise DataError(
            f"{key}={path}: {what}; expected word, bpe, a tokenizer.json, or a directory with one, as save_pretrained of "
            "transformers writes it, or an id of the Hugging Face hub that is in the cache"
        )
    try:
        tokenizer = Tokenizer.from_str(tokenizer_json(path))
    except ValueError as error:
        raise DataError(f"{key}={path}: {error}") from error
    pad = _pad(file.parent, tokenizer)
    if pad is None:
        raise DataError(
            f"{key}={path}: nothing names a padding token; name it as pad_token in tokenizer_config.json beside {file.name}"
        )
    side = settings(file.parent).get("padding_side") or (tokenizer.padding or {}).get("direction")
    tokenizer.no_padding()
    tokenizer.no_truncation()
    begin, end = _frame(tokenizer)
    if pad in begin:
        raise DataError(
            f"{key}={path}: every text begins with its padding token ({tokenizer.id_to_token(pad)}), so that padding and "
            "words can't be told apart; name another pad_token in tokenizer_config.json"
        )
    if side == "left" and pad in end:
        raise DataError(
            f"{key}={path}: padding stands before a text (padding_side=left), and its token ({tokenizer.id_to_token(pad)}) ends "
            "it too, so that they can't be told apart; set padding_side=right in tokenizer_config.json"
        )
    if length <= len(begin) + len(end):
        raise DataError(
            f"{key.replace('tokens', 'length')}: {length} leaves no word beside {len(begin) + len(end)} marks"
        )
    unk = getattr(tokenizer.model, "unk_token", None)
    unknown = None if unk is None else tokenizer.token_to_id(str(unk))
    return Tokens(tokenizer, length, Marks(pad, begin, end, unknown, side == "left"))


def _pad(folder: Path, tokenizer: Tokenizer) -> int | None:
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        named = read(folder / name).get("pad_token")
        named = named.get("content") if isinstance(named, dict) else named
        if isinstance(named, str) and (found := tokenizer.token_to_id(named)) is not None:
            return int(found)
    if tokenizer.padding:
        return int(tokenizer.padding["pad_id"])
    own = read(folder / "config.json").get("pad_token_id")
    if isinstance(own, int):
        return own
    known = [i for i in map(tokenizer.token_to_id, PADS) if i is not None]
    return int(known[0]) if len(known) == 1 else None


def _frame(tokenizer: Tokenizer) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The marks before and behind the words of a text."""
    whole, bare = (tokenizer.encode("a", add_special_tokens=special).ids for special in (True, False))
    for start in range(len(whole) - len(bare) + 1):
        if whole[start : start + len(bare)] == bare:
            return tuple(whole[:start]), tuple(whole[start + len(bare) :])
    return (), ()
