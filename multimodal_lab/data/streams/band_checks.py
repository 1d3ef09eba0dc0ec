"""Hold what a training split taught of its bands against the card, the scaling and a preset, before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from multimodal_lab.data.audit import bands
from multimodal_lab.data.audit.finding import Finding
from multimodal_lab.data.kind import StreamPlan, StreamStatistics
from multimodal_lab.data.source import DataError
from multimodal_lab.data.streams.sample import SampleReader
from multimodal_lab.data.streams.scaling import FixedRange

OTHER = 50.0  # times: percent for shares, shares for ten thousandths; two sensors or seasons differ by a few times


def findings(samples: SampleReader) -> Iterator[Finding]:
    """What is wrong with the bands of each stream, see `audit.bands`."""
    for name, fitted in samples.fitted.items():
        whole = str(fitted.layout.get("dtype", "")).startswith(("int", "uint"))
        yield from bands.of_stream(name, samples.plans[name].stored.bands, fitted.ranges, whole, samples.source)


def notes(samples: SampleReader) -> list[str]:
    """What a run tells of its bands; a `DataError` where they are of another unit than the card says."""
    said = []
    for found in findings(samples):
        if found.kind == "unit" and not any(samples.units.values()):
            continue
        if found.kind == "unit":
            raise DataError(found.sentence)
        said.append(f"warning: {found.sentence}")
    return [*said, *_scaled(samples)]


def _scaled(samples: SampleReader) -> Iterator[str]:
    """Streams whose values fill next to nothing of the fixed range that they are scaled by, or lie far outside."""
    for name, fitted in samples.fitted.items():
        policy = samples.policies[name] if samples.kinds[name].has_bands else None
        seen = [v for key in ("low", "high") for v in fitted.ranges.get(key, ()) if v is not None]
        if not isinstance(policy, FixedRange) or not seen:
            continue
        share = max(abs(v - policy.low) for v in seen) / (policy.high - policy.low)
        if not 1 / OTHER <= share <= OTHER:
            yield (
                f"warning: data.scaling: fixed_range sends {policy.low:g} to {policy.high:g} to 0 to 1, and stream {name} "
                f"holds {min(seen):.4g} to {max(seen):.4g} over the training split: other units? "
                f"(nearest: data.scaling.low={min(0.0, min(seen)):.3g} data.scaling.high={max(seen):.3g})"
            )


def require_preset(
    name: str, stream: str, plan: StreamPlan, fitted: StreamStatistics, known: Mapping[str, Sequence[float]], count: int
) -> None:
    """Refuse (`DataError`) a preset of other units: in every band the samples are 50 times larger or smaller than it says.

    fitted: mean and deviation of `count` samples, as scaling leaves them. Dark water is dark, but not in all
    bands.
    """
    pairs = zip(plan.stored.bands, fitted.mean, fitted.std, strict=True)
    sizes = [(band.name, _size(mean, std), _size(*known[band.name])) for band, mean, std in pairs]
    if all(here * OTHER < there for _, here, there in sizes) or all(here > there * OTHER for _, here, there in sizes):
        band = plan.stored.bands[0].name
        raise DataError(
            f"data.statistics={name}: band {band} of stream {stream} has mean {fitted.mean[0]:.4g} and deviation "
            f"{fitted.std[0]:.4g} in the {count} samples looked at, after data.scaling, and the preset says {known[band][0]:g} "
            f"and {known[band][1]:g}, as in its other bands: other units; choose data.statistics=train, or convert the values"
        )


def _size(mean: float, std: float) -> float:
    return float((mean**2 + std**2) ** 0.5)
