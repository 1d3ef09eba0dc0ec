"""Figures, summaries and tables from the files of runs."""
