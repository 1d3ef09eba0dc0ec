"""Complete cases: the training samples that hold every stream."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from multimodal_lab import progress
from multimodal_lab.data.fitted_cache import FittedCache, named, nameless, same
from multimodal_lab.data.source import DataError, Raw
from multimodal_lab.data.streams import whole_rows
from multimodal_lab.data.streams.sample import SampleReader


def there(samples: SampleReader, raw: Raw, name: str) -> bool:
    """Whether a sample holds a stream."""
    kind = samples.kinds[name]
    return bool(kind.several(samples, raw, name)) if kind.drawn_each_epoch else raw.inputs[name] is not None


def complete(
    samples: SampleReader, streams: Sequence[str], rows: np.ndarray, memory: FittedCache | None, mark: str
) -> tuple[np.ndarray, str]:
    """Those of `rows` (n,) that hold all of `streams`, and a sentence for the run; with a memory they are read once.

    mark: the data's fingerprint. `DataError` where there is none.
    """
    facts = {
        **same(samples, mark),
        "of": "complete cases",
        "streams": [nameless(samples.plans[name]) for name in streams],
        "rows": named([samples.names[row] for row in rows]),
    }

    known = None if memory is None else memory.get(facts)
    if known is None:
        seen = progress.track(whole_rows.raws(samples, rows), "looking for complete samples", len(rows))
        known = {"kept": [row for row, raw in seen if all(there(samples, raw, name) for name in streams)]}
        if memory is not None:
            memory.put(facts, known)
    kept = np.array(known["kept"], dtype=np.int64)
    if not len(kept):
        raise DataError(
            f"data.incomplete=drop: none of the {len(rows)} training samples holds all of {', '.join(streams)}; "
            "keep learns from those that lack some"
        )
    return kept, (
        f"data.incomplete=drop: {len(kept)} of {len(rows)} training samples hold all of {', '.join(streams)}; "
        "the others are left out"
    )
