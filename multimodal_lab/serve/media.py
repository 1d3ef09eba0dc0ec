"""Lay a sound or a video that was uploaded where the run's reader finds it; a process of its own decodes it."""

from __future__ import annotations

from pathlib import Path

from multimodal_lab.serve.limits import MIB, Limits
from multimodal_lab.serve.problem import too_large, unusable
from multimodal_lab.serve.uploads import Upload

VIDEO = "expected an MP4, MOV, WebM, Matroska, AVI, MPEG or Ogg"
SOUND = "expected a WAV, FLAC, Ogg, MP3 or AIFF, or a video with sound"
EXPECTED = {"sound": SOUND, "video": VIDEO}


def laid(content: bytes, name: str, folder: Path, sort: str, limits: Limits) -> Upload:
    """A file in `folder`, known by its first bytes; `name` is the stream, for messages. A video is taken for a sound, too: its
    audio track. What its header claims, and whether it can be decoded, the reader says, whose limits are those of the server."""
    if len(content) > limits.bytes:
        raise too_large(
            f"{name}: a {sort} of {len(content) / MIB:,.1f} MiB; the limit is {limits.bytes / MIB:,.1f} MiB"
        )
    if not content:
        raise unusable(f"{name}: an empty file; {EXPECTED[sort]}")
    suffix = (_sound(content) if sort == "sound" else None) or _video(content)
    if suffix is None:
        raise unusable(f"{name}: no {sort}; {EXPECTED[sort]}")
    path = folder / f"{name}{suffix}"
    path.write_bytes(content)
    return Upload(path)


def _sound(content: bytes) -> str | None:
    """The suffix of a sound by its first bytes; None of anything else."""
    head, form = content[:4], content[8:12]
    if head in (b"RIFF", b"RIFX", b"RF64") and form == b"WAVE":
        return ".wav"
    if head == b"FORM" and form in (b"AIFF", b"AIFC"):
        return ".aiff"
    if head in (b"fLaC", b"OggS"):
        return {b"fLaC": ".flac", b"OggS": ".ogg"}[head]
    # an MP3 begins with its tags, or with a frame: eleven bits of 1, and a layer
    framed = len(content) > 1 and content[0] == 0xFF and content[1] & 0xE0 == 0xE0 and content[1] & 0x06
    return ".mp3" if content[:3] == b"ID3" or framed else None


def _video(content: bytes) -> str | None:
    """The suffix of a video by its first bytes; None of anything else."""
    if content[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        return ".mp4"
    if content[:4] == b"\x1a\x45\xdf\xa3":
        return ".mkv"
    if content[:4] == b"RIFF" and content[8:12] == b"AVI ":
        return ".avi"
    if content[:4] in (b"\0\0\x01\xba", b"\0\0\x01\xb3"):
        return ".mpg"
    return ".ogv" if content[:4] == b"OggS" else None
