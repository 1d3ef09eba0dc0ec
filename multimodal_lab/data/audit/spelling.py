"""Names of one thing in several spellings, and names numbered within one thing."""

from __future__ import annotations

import re
import unicodedata

VIEWS = "left|right|dorsal|ventral|lateral|front|back|top|bottom"
MADE = r"copy|kopie|copie|dup|duplicate|aug(?:mented)?\d*|flip(?:ped)?|rot(?:ated)?\d*|crop(?:ped)?\d*"
# each run of marks is looked at once, from its beginning, so that the time is linear whatever stands there
_TAIL = re.compile(rf"(?:(?<![\s_.-])[\s_.-]++(?:{VIEWS}|{MADE})|(?<!\s)\s*+\(\d++\))$")
_LONGEST = 1000  # letters at the end of a name that are looked at for tails
_SUFFIX = re.compile(r"\.(?:tiff?|png|jpe?g|npy|bil|bip|bsq|img|wav|flac|ogg|mp4)$")
_TOKEN = re.compile(r"\d+|[^\W\d_]+|[^\w\s.,;:()\[\]/\\|'\"#-]")
_DECIMAL = re.compile(r"[+-]?\d*\.\d+")
_LAST_NUMBER = re.compile(r"(?<![\s_.-])[\s_.-]++\d{1,3}$")
_ACCENTS = re.compile("[\u0300-\u036f]")


def plain(name: str) -> str:
    """A name without case, accents' encoding, spaces and punctuation: two spellings of one thing are equal."""
    return re.sub(r"[\s_.,;:()\[\]-]+", " ", unicodedata.normalize("NFKC", name).casefold()).strip()


def stem(name: str) -> str:
    """The key of a sample's name without what tells views, copies and augmented versions of one thing apart."""
    found = _SUFFIX.sub("", unicodedata.normalize("NFKC", name).casefold().strip())
    head, found = found[:-_LONGEST], found[-_LONGEST:]
    while (shorter := _TAIL.sub("", found)) != found and shorter:
        found = shorter
    return key(head + found)


def key(name: str) -> str:
    """Equal for spellings of one name: B007 and B7, é and e, 12/A and 12-A, AMNH-12 and AMNH12.

    Case, accents, punctuation, the zeros that a number begins with, and what stands between a letter and a digit say nothing. B7
    and B17, 1-2 and 12, 1.05 and 1.5 differ.
    """
    text = unicodedata.normalize("NFKD", name.strip()).casefold()
    if _DECIMAL.fullmatch(text):
        return str(float(text))
    tokens = _TOKEN.findall(_ACCENTS.sub("", text))
    return " ".join((t.lstrip("0") or "0") if t[0].isdecimal() else t for t in tokens) or text


def series(name: str) -> str:
    """The key of a name without a last number that counts within what has a number already: owl012_1 is of owl012."""
    text = _SUFFIX.sub("", name.strip())
    head = text[:-_LONGEST] + _LAST_NUMBER.sub("", text[-_LONGEST:])
    return key(head if any(c.isdecimal() for c in head) else text)
