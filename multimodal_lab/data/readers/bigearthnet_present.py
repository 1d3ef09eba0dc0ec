"""Columns that say of each patch whether it has one of the nineteen labels: what a study can judge one by one."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from multimodal_lab.data.readers.bigearthnet_facts import NINETEEN
from multimodal_lab.data.source import DataError
from multimodal_lab.text import expected_one_of


def with_present(samples: pd.DataFrame, present: Mapping[str, str]) -> pd.DataFrame:
    """The table and a column `yes` or `no` for each {column: label}; None where a patch has no labels.

    `DataError` for a label outside the nineteen, or a column that is there already.
    """
    found = samples.copy() if present else samples
    for column, label in present.items():
        key = f"data.source.present.{column}"
        if label not in NINETEEN:
            raise DataError(f"{key}={label}: no label of BigEarthNet; {expected_one_of(label, NINETEEN)}")
        if column in samples:
            raise DataError(f"{key}: the table has a column {column} of its own; choose another name")
        said = [None if labels is None else "yes" if label in labels else "no" for labels in samples["labels"]]
        found[column] = pd.Series(said, index=found.index, dtype=object)
    return found
