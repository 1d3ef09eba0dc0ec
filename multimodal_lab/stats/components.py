"""Variance components of a pilot study's arms, and what they give with other numbers of seeds, groups and samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from multimodal_lab.stats.crossed import Crossed, Source, combined, moved, without
from multimodal_lab.stats.paired import paired


@dataclass(frozen=True)
class Design:
    """Seeds, groups in the test part, and samples in a group of it."""

    seeds: int
    groups: int
    samples: float


@dataclass(frozen=True)
class Components:
    """Covariances (A, A) of the arms' scores: of seeds; of groups; of seed and group together; of samples; of the rest.

    A sample's score is that of its arm, plus the luck of the seed, how well the arm suits the group, the seed's luck on it,
    how well it suits the sample, and noise. design: of the pilot; even: equal groups that its unequal ones count as,
    per group; mean (A,): of its arms.
    """

    seed: np.ndarray
    group: np.ndarray
    both: np.ndarray
    sample: np.ndarray
    noise: np.ndarray
    mean: np.ndarray
    design: Design
    even: float

    def of(self, contrast: np.ndarray, design: Design, gain: float) -> Crossed:
        """The study's test of a contrast (A,) of the arms in a study of another design, as it is on average, at a true gain."""
        groups, s = self.effective(design), design.seeds
        count = design.groups * design.samples
        # the seeds of two arms are different draws: what seeds bring is that of each arm, as the test has it
        seeds, group, both, sample, noise = self.parts
        own = (contrast**2) @ np.diag(both / groups + noise / count) / s
        each = contrast**2 * np.diag(seeds + both / groups + noise / count) / s
        whole = float(each.sum())
        seed = Source(whole, (s - 1) * whole**2 / float((each**2).sum()) if whole > 0 else s - 1.0)
        rest = float(contrast @ (group / groups + sample / count) @ contrast) + float(own)
        return combined(gain, (s, 1, design.groups), seed, float(own), Source(rest, groups - 1))

    def covariance(self, design: Design) -> np.ndarray:
        """Of the arms' means (A, A) in studies of that design."""
        groups, count, s = self.effective(design), design.groups * design.samples, design.seeds
        seed, group, both, sample, noise = self.parts
        return np.asarray(seed / s + group / groups + sample / count + both / (s * groups) + noise / (s * count))

    @property
    def parts(self) -> tuple[np.ndarray, ...]:
        """All five, in the order of the fields, without the negative variances that estimates may have."""
        return tuple(_sound(x) for x in (self.seed, self.group, self.both, self.sample, self.noise))

    def effective(self, design: Design) -> float:
        """How many equal groups a design's groups count as, if they are as unequal as the pilot's."""
        return max(2.0, self.even * design.groups)

    def draw(self, design: Design, mean: np.ndarray, draw: np.random.Generator) -> np.ndarray:
        """Scores (A, S, 1, G*) of a study of that design: normal, a mean for each of `effective` equal groups."""
        groups, size = round(self.effective(design)), design.groups * design.samples / self.effective(design)
        a, s = len(mean), design.seeds

        def normal(covariance: np.ndarray, *shape: int) -> np.ndarray:
            return np.moveaxis(draw.normal(size=(*shape, a)) @ root(covariance).T, -1, 0)

        seed, group, both, sample, noise = self.parts
        apart, shared = normal(group + sample / size, 1, 1, groups), normal(both + noise / size, s, 1, groups)
        return np.asarray(mean[:, None, None, None] + normal(seed, s, 1, 1) + apart + shared)


def components(scores: np.ndarray, groups: np.ndarray) -> Components:
    """By moments, from scores (A, S, R, N) of S >= 2 seeds, NaN where a sample is not tested, and groups (N,).

    With several splits the mean over them is taken: their overlap in training is not among the parts.
    """
    pairs = [paired(np.where(np.isnan(own), np.nan, 0.0), own, groups) for own in scores]
    first, seeds = pairs[0], scores.shape[1]
    left = np.stack([without(p) for p in pairs], 1)
    left = left[~np.isnan(left).any(1)] - np.array([p.mean for p in pairs])
    together = np.stack([moved(p) for p in pairs], 2)
    together = together - together.mean(0)
    by_seed = np.cov(np.stack([p.by_seed for p in pairs]), ddof=1).reshape(len(pairs), len(pairs)) / seeds
    by_group = (len(left) - 1) / len(left) * left.T @ left
    shared = np.einsum("sga,sgb->ab", together, together) / (seeds * (seeds - 1))
    effective, samples = first.effective_groups, float(first.counts.sum(1).mean())
    sample, noise = _within(scores, groups)
    return Components(
        seeds * (by_seed - shared),
        effective * (by_group - shared) - sample * effective / samples,
        seeds * effective * shared - noise * effective / samples,
        sample,
        noise,
        np.array([p.mean for p in pairs]),
        Design(seeds, len(first.names), samples / len(first.names)),
        effective / len(first.names),
    )


def _within(scores: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Covariances of samples inside their groups, and of what moves with sample and seed; 0 where no group has two samples."""
    tested = ~np.isnan(scores).any((0, 1))
    each = np.where(tested, np.nan_to_num(scores), 0).sum(2) / np.maximum(tested.sum(0), 1)
    rows = tested.any(0)
    each, index = each[:, :, rows], np.unique(groups[rows], return_inverse=True)[1]
    count = np.bincount(index)
    means = np.stack([[np.bincount(index, run) / count for run in arm] for arm in each])
    apart = each - means[:, :, index]
    common = apart.mean(1)
    rest, free, seeds = apart - common[:, None], int((count - 1).sum()), each.shape[1]
    if free < 1:
        return (np.zeros((len(each), len(each))),) * 2
    noise = np.einsum("asn,bsn->ab", rest, rest) / (free * (seeds - 1))
    return common @ common.T / free - noise / seeds, noise


def _sound(covariance: np.ndarray) -> np.ndarray:
    """The nearest covariance: a difference of estimates may have negative variances."""
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    return np.asarray(vectors * values.clip(0) @ vectors.T)


def root(covariance: np.ndarray) -> np.ndarray:
    """A square root of a covariance: independent normal numbers times its transpose have that covariance."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors * np.sqrt(values.clip(0)))
