"""The explorer: one self-contained page of a run's embeddings."""

from multimodal_lab.report.explorer.source import ExplorerError
from multimodal_lab.report.explorer.write import write

__all__ = ["ExplorerError", "write"]
