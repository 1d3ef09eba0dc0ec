"""The explorer: one page of a run's embeddings, from its files alone."""

from multimodal_lab.report.explorer.source import ExplorerError
from multimodal_lab.report.explorer.write import write

__all__ = ["ExplorerError", "write"]
