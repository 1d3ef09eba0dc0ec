"""Read every sample once before training: to keep it in memory, or to meet a bad one now."""

from __future__ import annotations

import numpy as np

from multimodal_lab.data.fitted_cache import FittedCache, StatisticsFrom, known_good, remember_good
from multimodal_lab.data.loading.unreadable import with_count
from multimodal_lab.data.prepared import Prepared
from multimodal_lab.data.streams import whole_rows
from multimodal_lab.data.streams.sample import SampleError
from multimodal_lab.progress import track


def read(
    prepared: Prepared, memory: FittedCache | None, checked: bool, statistics: StatisticsFrom, seen: bool = False
) -> None:
    """Finish every sample where it is kept in memory; else read those that `learn` has not, where all are `checked`.

    seen: the caller has just read them all. A `SampleError` tells how many samples can't be read.
    """
    reader = prepared.reader
    try:
        if reader.cache:
            prepared.stack.keep()
        elif checked and not known_good(reader, memory, prepared.fingerprint):
            learnt = {*(prepared.splits["train"].tolist() if statistics == "train" else ()), *prepared.bad.why}
            rest = np.array([row for row in range(len(prepared.samples)) if row not in learnt], dtype=np.int64)
            what = "the held-out samples" if statistics == "train" else "every sample"
            for _ in () if seen else track(whole_rows.raws(reader, rest), f"reading {what}", len(rest)):
                pass
            remember_good(reader, memory, prepared.fingerprint)
    except SampleError as error:
        raise with_count(reader, error) from error
