"""The report of a study, from its `study.json` alone."""

from multimodal_lab.report.study.write import ReportError, write

__all__ = ["ReportError", "write"]
