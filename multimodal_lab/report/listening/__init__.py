"""The listening page of a run that separates sounds."""

from multimodal_lab.report.listening.write import separation as separation
