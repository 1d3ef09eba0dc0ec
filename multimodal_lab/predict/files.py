"""Open single files and pictures as the reader of a run opens its own."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from multimodal_lab.config.instantiate import safe_instantiate
from multimodal_lab.data.readers.audio import COLUMN
from multimodal_lab.data.readers.audio_file import SUFFIXES as SOUNDS
from multimodal_lab.data.readers.columns.video import SOUND
from multimodal_lab.data.readers.folder import LINKED
from multimodal_lab.data.readers.video import COLUMN as VIDEO_COLUMN
from multimodal_lab.data.readers.video_file import SUFFIXES as VIDEOS
from multimodal_lab.data.source import DataError
from multimodal_lab.predict.expected import Expected
from multimodal_lab.predict.given import OfFile

IMAGES = "multimodal_lab.data.readers.images.Images"
AUDIO = "multimodal_lab.data.readers.audio.Audio"
VIDEO = "multimodal_lab.data.readers.video.Video"
OF_A_SET = ("labels", "windows", "fold", "lists")  # choices about many files: one that is asked about is taken as it is
HEARD = VIDEO_COLUMN + SOUND
EVERY = {"count": None, "sampling": "dense"}  # frame of a video
FRAMES = {"_target_": "multimodal_lab.data.readers.decode.video_sampling.Frames"}


class Files:
    """Files and pictures to be read one by one; `folder`, a temporary one, holds links to them.

    node: the plain config of the run's `data.source`. A reader whose class states `beside`, the suffixes of the files that
    belong to a sample's own one, reads a file by itself; a picture is read by `Images` with the settings that the node has.
    """

    def __init__(self, node: Mapping[str, Any], folder: Path) -> None:
        self.node, self.folder = dict(node), folder

    @cached_property
    def reader(self) -> Any:
        """The class of the run's reader."""
        return safe_instantiate({k: v for k, v in self.node.items() if k != "limits"} | {"_partial_": True}).func

    @property
    def alone(self) -> tuple[str, ...] | None:
        """What lies beside a file that is a sample by itself; None where no file is."""
        return getattr(self.reader, "beside", None)

    def sensors(self) -> dict[str, Sequence[str]]:
        """{sensor: its bands in the order of its card}, as the reader's class tells of the settings; {} if it doesn't."""
        tell = getattr(self.reader, "sensors_of", None)
        return {} if tell is None else dict(tell(self.node))

    def samples(self, paths: Sequence[Path]) -> list[OfFile]:
        """Whole samples, a file each."""
        if self.alone is None:
            raise DataError(
                f"{paths[0]}: the run read its samples from a table or a store ({self.reader.__name__}), where no file is a "
                "sample; give each stream by its name, or a data frame"
            )
        whole = {k: v for k, v in self.node.items() if k not in OF_A_SET}
        if whole.get("frames"):
            whole["frames"] = _one_clip(whole["frames"])
        return self._opened(whole, paths, self.alone)

    def sounds(self, sounds: Sequence[Path | Image.Image], one: Expected) -> list[OfFile]:
        """One stream of sound, a file each, at the rate of the stream; of a video its audio track, of the seconds whose
        frames the run takes where it took both from one video, else all of it."""
        paths = [p for p in sounds if isinstance(p, Path)]
        if len(paths) < len(sounds):
            raise DataError(f"stream {one.name}: a picture, expected the file of a sound, or an array and its rate")
        seen = [p for p in paths if p.suffix.lower() in VIDEOS]
        if bad := [p for p in paths if p.suffix.lower() not in SOUNDS and p not in seen]:
            raise DataError(
                f"stream {one.name}: {bad[0]}, expected the file of a sound ({', '.join(SOUNDS)}), or a video with sound"
            )
        node = {**self._settings(one, "limits"), "rate": one.rate}
        node["channels"] = "mono" if [b.name for b in one.bands] == ["mono"] else "as_stored"
        of_sounds = [p for p in paths if p not in seen]
        found = self._opened({**node, "_target_": AUDIO}, of_sounds, ()) if of_sounds else []
        made = dict(zip(of_sounds, (replace(each, field=COLUMN) for each in found), strict=True))
        if seen:
            node["frames"] = _one_clip({**FRAMES, **(one.frames or EVERY)})
            videos = self._opened({**node, "_target_": VIDEO}, seen, ())
            if HEARD not in getattr(videos[0].source, "field_bands", ()):
                raise DataError(f"stream {one.name}: {seen[0]}: a video without an audio track")
            made |= dict(zip(seen, (replace(each, field=HEARD) for each in videos), strict=True))
        return [made[path] for path in paths]

    def videos(self, videos: Sequence[Path | Image.Image], one: Expected) -> list[OfFile]:
        """One stream of frames, a video each, of which the run's own choice is taken."""
        paths = [p for p in videos if isinstance(p, Path)]
        if len(paths) < len(videos):
            raise DataError(f"stream {one.name}: a picture, expected the file of a video, or an array (C, T, H, W)")
        if bad := [p for p in paths if p.suffix.lower() not in VIDEOS]:
            raise DataError(f"stream {one.name}: {bad[0]}, expected the file of a video ({', '.join(VIDEOS)})")
        names = [b.name for b in one.bands]
        colour = names[0] if names in (["grey"], ["depth"]) else "rgb"
        node = self._settings(one, "limits", "frames", "shrink")
        if "frames" not in node and not one.frames and getattr(self.reader, "copies", False):
            raise DataError(
                f"stream {one.name}: the run read its frames from a store of an earlier version, which does not say which frames "
                "of a video they are; give an array (C, T, H, W)"
            )
        node["frames"] = _one_clip({**FRAMES, **node.get("frames", {}), **one.frames})
        found = self._opened({**node, "_target_": VIDEO, "video_colour": colour}, paths, ())
        return [replace(each, field=VIDEO_COLUMN) for each in found]

    def pictures(self, pictures: Sequence[Path | Image.Image], one: Expected) -> list[OfFile]:
        """One stream, a picture each: R, G and B, of which a run may make other pictures, or grey."""
        bands, stream = one.bands, one.name
        if self.alone is not None and all(isinstance(p, Path) for p in pictures):
            return self.samples([p for p in pictures if isinstance(p, Path)])
        node = self._settings(one, "alpha", "limits", "colour")
        node["colour"] = colour_of(node, one)
        if lacking := [
            b.name for b in bands if b.name not in (("grey",) if node["colour"] == "grey" else ("R", "G", "B"))
        ]:
            raise DataError(f"stream {stream}: a picture has no band {lacking[0]}; give an array, or {{band: array}}")
        paths = [p if isinstance(p, Path) else self._written(p, i) for i, p in enumerate(pictures)]
        return self._opened({**node, "_target_": IMAGES}, paths, ())

    def _settings(self, one: Expected, *keys: str) -> dict[str, Any]:
        """What the reader of a stream says of `keys`: of a source made of others, the one that the stream is of."""
        node, field = self.node, one.field
        while isinstance(sources := node.get("sources"), Mapping):
            name, _, rest = field.partition(".")
            at = name if name in sources else one.name if one.name in sources else None
            inside = [sources[at]] if at is not None else [own for own in sources.values() if _settings_of(own, keys)]
            if len(inside) != 1:
                break
            node, field = dict(inside[0].get("source", inside[0])), rest if at == name else field
        return _settings_of(node, keys)

    def _opened(self, node: Mapping[str, Any], paths: Sequence[Path], beside: Sequence[str]) -> list[OfFile]:
        """Rows of a reader over a folder of links to these files alone."""
        root = (self.folder / str(len(os.listdir(self.folder)))).resolve()
        LINKED.add(root)
        for i, path in enumerate(paths):
            if not path.is_file():
                raise DataError(f"{path}: {'no file' if path.exists() else 'not there'}")
            own = root / f"{i:08d}"
            own.mkdir(parents=True)
            also = [Path(f"{base}{end}") for base in (path, path.with_suffix("")) for end in beside]
            for one in dict.fromkeys([path, *(p for p in also if p.is_file())]):
                (own / one.name).symlink_to(one.resolve())
        try:
            source = safe_instantiate({**node, "root": str(root)})
        except DataError as error:
            raise DataError(_plainly(str(error), root, paths)) from error
        at = {int(str(path).partition("/")[0]): row for row, path in enumerate(source.samples.path)}
        if missing := [path for i, path in enumerate(paths) if i not in at]:
            raise DataError(f"{missing[0]}: no file that {type(source).__name__} reads")
        return [OfFile(source, at[i], str(path)) for i, path in enumerate(paths)]

    def _written(self, picture: Image.Image, number: int) -> Path:
        """A picture in memory as a file without loss, turned as it is to be seen."""
        folder = self.folder / f"memory{len(os.listdir(self.folder))}"
        folder.mkdir()
        path = folder / f"picture_{number}.png"
        ImageOps.exif_transpose(picture).save(path, compress_level=1)
        return path


def sources_in(node: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The settings of a reader, and of those that it is made of."""
    if isinstance(node, dict):
        yield node
    for own in (node.get("sources") or {}).values():
        yield from sources_in(own.get("source", own))


def _one_clip(frames: dict[str, Any]) -> dict[str, Any]:
    """Of a run that takes several clips of a video, each a row, the one in the middle: a file that is asked about is one row."""
    return {**frames, "clips": 1}


def colour_of(source: Mapping[str, Any], one: Expected) -> str:
    """What the pictures of a stream are read as by a run with this source: grey, R, G and B, or what it made R, G and B of."""
    if {band.name for band in one.bands} == {"grey"}:
        return "grey"
    own = source.get("colour")
    own = own.get(one.field) if isinstance(own, Mapping) else own
    return "to_rgb" if own == "to_rgb" else "rgb"


def _settings_of(node: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    own = node.get("source", node)
    return {key: own[key] for key in keys if own.get(key) is not None}


def _plainly(text: str, root: Path, paths: Sequence[Path]) -> str:
    """A reader's sentence with the names that were given."""
    for i, path in enumerate(paths):
        text = text.replace(f"{i:08d}/{path.name}", str(path))
    return text.replace(str(root), "the files")
