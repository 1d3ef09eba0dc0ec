"""The names of scores, for configs that are checked before anything slow is imported."""

from typing import Literal

ScoreName = Literal[
    "accuracy", "balanced_accuracy", "macro_f1", "auroc", "average_precision", "log_loss", "brier", "r2",
    "squared_error", "absolute_error",
]  # fmt: skip
LOSSES = ("log_loss", "brier", "squared_error", "absolute_error")  # lower is better, in units of their own
