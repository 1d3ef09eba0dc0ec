"""Synthetic museum specimens: traits visible in RGB only, UV only, or both, with adjustable strength."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from scipy import ndimage
from scipy.special import ndtri

from multimodal_lab.bounds import Count, Fraction, Natural, NonNegative
from multimodal_lab.data.source import DataError, NoStream, Raw
from multimodal_lab.data.streams.bands import indices
from multimodal_lab.data.synthetic.plumage import PIGMENTS, REGIONS, TEXTURES, Pose, outline
from multimodal_lab.types import Band, Stream

BANDS = (
    Band("R", 620.0, "reflectance"),
    Band("G", 540.0, "reflectance"),
    Band("B", 460.0, "reflectance"),
    Band("UV1", 385.0, "reflectance"),
    Band("UV2", 365.0, "reflectance"),
    Band("UV3", 345.0, "reflectance"),
)
RGB, UV = slice(0, 3), slice(3, 6)
FULL = 65535
GROUND = 0.55
SIDES = ("left", "right")
RUFOUS = np.array([0.16, -0.05, -0.14], dtype=np.float32)


class Specimens:
    """Birds on their backs in a drawer, drawn from (seed, individual, side, size): nothing is stored or downloaded.

    Every individual has a species and four independent bits, balanced within each species: `sex` shows in the UV of the
    throat alone, `morph` in the RGB of the belly alone, and `synergy` is the exclusive or of two traits, a wing bar
    (RGB alone) and a bright tail (UV alone), so that neither modality predicts it. `unique_rgb`, `unique_uv`, `shared`
    and `synergy` dial the contrasts of morph, sex, species and the two traits: 1 is clear, 0 takes the information
    away.

    noise: standard deviation per pixel, reflectance 0 to 1. missing: share of images without UV. misregistration:
    pixels between RGB and UV. Images are (6, size, size) uint16, the mask is the outline seen in RGB. `caption` is a
    sentence, `tail_mm` a number: the length of the tail as drawn, before the pose.
    """

    bands = BANDS
    text_columns = ("caption",)

    def __init__(
        self,
        *,
        individuals: Count = 1536,
        sides: Count = 2,
        species: Count = 8,
        size: Count = 64,
        unique_rgb: NonNegative = 1.0,
        unique_uv: NonNegative = 1.0,
        shared: NonNegative = 1.0,
        synergy: NonNegative = 1.0,
        noise: NonNegative = 0.02,
        missing: Fraction = 0.0,
        misregistration: NonNegative = 0.0,
        seed: Natural = 0,
    ) -> None:
        if sides > len(SIDES):
            raise DataError(f"data.source.sides: a specimen has 1 or 2 sides, got {sides}")
        if species > individuals:
            raise DataError(
                f"data.source.species: {species} species of {individuals} individuals; at most {individuals}"
            )
        self.individuals, self.sides, self.species, self.size = individuals, sides, species, size
        self.unique_rgb, self.unique_uv, self.shared, self.synergy = unique_rgb, unique_uv, shared, synergy
        self.noise, self.missing, self.misregistration, self.seed = noise, missing, misregistration, seed
        self.kinds = [_Species(seed, i, shared) for i in range(species)]

    @property
    def identity(self) -> dict[str, Any]:
        """The dials: two generators with equal dials give equal pixels."""
        return {k: v for k, v in sorted(vars(self).items()) if isinstance(v, int | float)}

    @cached_property
    def samples(self) -> pd.DataFrame:
        """One row an image. `cell`, to stratify by: species and bits if each cell has 4 individuals, else species."""
        rows = [self._row(i, side) for i in range(self.individuals) for side in SIDES[: self.sides]]
        return pd.DataFrame(rows)

    def read(self, index: int, streams: Sequence[Stream]) -> Raw:
        """Draw one image and give each stream its bands; a stream that needs UV is missing where there is none."""
        row = divmod(index, self.sides)
        inputs: dict[str, Any] = {s.name: self._text(index, s) for s in streams if not s.bands}
        cut = {s.name: indices(s, self.bands) for s in streams if s.name not in inputs}
        if not cut:
            return Raw(inputs)
        no_uv = self._lacks_uv(*row)
        image, mask = self.draw(*row)
        for name, places in cut.items():
            inputs[name] = None if no_uv and max(places) >= UV.start else image[places]
        return Raw(inputs, mask, FULL)

    def array(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """One sample: (6, size, size) uint16 and its mask (size, size) bool, UV never missing."""
        return self.draw(*divmod(index, self.sides))

    def draw(self, individual: int, side: int) -> tuple[np.ndarray, np.ndarray]:
        """(6, size, size) uint16 reflectance times 65535, and the outline (size, size) bool."""
        own = np.random.default_rng((self.seed, 1, individual))
        shot = np.random.default_rng((self.seed, 2, individual, side))
        kind = self.kinds[individual % self.species]
        build = self._build(individual, own)
        colours = self._colours(individual, kind, own)
        pose = Pose.drawn(shot, mirrored=side == 1)
        region, shade, along, across = outline(self.size, build, pose)
        pattern = TEXTURES[kind.texture](along * kind.pitch, across * kind.pitch, own.uniform(0, 6.28))
        mask = region > 0
        light = np.where(mask, shade * (1 + pattern * kind.depth.take(region)), np.float32(1))
        exposure = shot.uniform(0.92, 1.08, 2).astype(np.float32).repeat(3)
        image = (colours * exposure[:, None]).take(region, 1)
        image *= light
        if self.misregistration:
            image[UV] = _shifted(image[UV], self.misregistration, shot.uniform(0, 2 * np.pi))
        grain = np.frombuffer(shot.bytes(image.size), dtype=np.uint8).reshape(image.shape)
        image += self._grain.take(grain)
        np.clip(image, 0, 1, out=image)
        image *= FULL
        return image.astype(np.uint16), mask

    def _build(self, individual: int, own: np.random.Generator) -> np.ndarray:
        """Six relative sizes (see `outline`): the first that is drawn of an individual."""
        sizes: np.ndarray = self.kinds[individual % self.species].build + own.normal(0, 0.025, 6).astype(np.float32)
        return sizes

    @cached_property
    def _grain(self) -> np.ndarray:
        """The normal noise of a random byte: 256 quantiles, far quicker than drawing normal numbers."""
        return np.asarray(self.noise * ndtri((np.arange(256) + 0.5) / 256), dtype=np.float32)

    def _colours(self, individual: int, kind: _Species, own: np.random.Generator) -> np.ndarray:
        sex, morph, bar, tail = (2 * b - 1 for b in self._bits(individual))
        colours = kind.palette + own.normal(0, 0.05, kind.palette.shape).astype(np.float32)
        colours[:, 0] = GROUND  # the drawer tells nothing of who lies in it
        colours[UV, REGIONS.index("throat")] = 0.45 + 0.25 * sex * self.unique_uv + own.normal(0, 0.03)
        colours[RGB, REGIONS.index("belly")] += morph * self.unique_rgb * RUFOUS
        colours[RGB, REGIONS.index("bar")] = 0.45 + 0.3 * bar * self.synergy + own.normal(0, 0.03)
        colours[UV, REGIONS.index("tail")] = 0.4 + 0.25 * tail * self.synergy + own.normal(0, 0.03)
        return np.asarray(colours.clip(0.02, 0.95), dtype=np.float32)

    @cached_property
    def _decks(self) -> list[np.ndarray]:
        """Per species, a shuffled deck of the sixteen combinations of four bits, as level as its size allows."""
        decks = []
        for i in range(self.species):
            count = len(range(i, self.individuals, self.species))
            rng = np.random.default_rng((self.seed, 3, i))
            rounds = [rng.permutation(16) for _ in range(-(-count // 16))]
            decks.append(np.concatenate(rounds)[:count])
        return decks

    def _bits(self, individual: int) -> tuple[int, int, int, int]:
        place, kind = divmod(individual, self.species)
        deal = int(self._decks[kind][place])
        return deal & 1, deal >> 1 & 1, deal >> 2 & 1, deal >> 3 & 1

    def _row(self, individual: int, side: str) -> dict[str, Any]:
        sex, morph, bar, tail = self._bits(individual)
        kind = individual % self.species
        name = f"ind_{individual:05d}"
        look = "rufous" if morph else "pale"
        build = self._build(individual, np.random.default_rng((self.seed, 1, individual)))
        return {
            "id": f"{name}_{side}",
            "species": f"species_{kind:02d}",
            "individual": name,
            "sex": "M" if sex else "F",
            "side": side,
            "morph": look,
            "synergy": "odd" if bar ^ tail else "even",
            "cell": f"{kind:02d}-{sex}{morph}{bar}{tail}" if self.individuals >= 64 * self.species else f"{kind:02d}",
            "tail_mm": round(60 * (1 + float(build[4])), 2),
            "caption": f"a {look} bird of species {kind} with a {'pale' if bar else 'dark'} wing bar, {side} side",
        }

    def _text(self, index: int, stream: Stream) -> str:
        if stream.field not in self.samples:
            raise NoStream(f"stream {stream.name}: specimens have no column {stream.field!r}; they have a `caption`")
        return str(self.samples[stream.field].iloc[index])

    def _lacks_uv(self, individual: int, side: int) -> bool:
        return bool(np.random.default_rng((self.seed, 4, individual, side)).random() < self.missing)


class _Species:
    """What a species shares: palette (6, regions), build, texture; `shared` = 0 makes all species alike."""

    def __init__(self, seed: int, number: int, shared: float) -> None:
        rng = np.random.default_rng((seed, 5, number))
        common = np.random.default_rng((seed, 6))

        def blend(low: float, high: float, shape: tuple[int, ...]) -> np.ndarray:
            middle = common.uniform(low, high, shape)
            return np.asarray(middle + min(shared, 1.0) * (rng.uniform(low, high, shape) - middle), dtype=np.float32)

        alike = common.dirichlet(np.full(len(PIGMENTS), 0.3), len(REGIONS))
        own = rng.dirichlet(np.full(len(PIGMENTS), 0.3), len(REGIONS))
        mixture = alike + min(shared, 1.0) * (own - alike)
        self.palette = np.asarray((mixture @ PIGMENTS).T, dtype=np.float32)
        self.palette[:, 0] = GROUND
        self.build = blend(-0.12, 0.12, (6,))
        self.pitch = float(blend(14.0, 26.0, ()))
        self.depth = blend(0.05, 0.35, (len(REGIONS),))
        self.texture = number % len(TEXTURES) if shared else 0


def _shifted(image: np.ndarray, pixels: float, angle: float) -> np.ndarray:
    shift = (0.0, pixels * np.sin(angle), pixels * np.cos(angle))
    return np.asarray(ndimage.shift(image, shift, order=1, mode="nearest"), dtype=np.float32)
