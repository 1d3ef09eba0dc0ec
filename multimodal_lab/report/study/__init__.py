"""The report of a study, from its `study.json` alone."""

from multimodal_lab.report.study.write import EXPLORER, ReportError, write

__all__ = ["EXPLORER", "ReportError", "write"]
