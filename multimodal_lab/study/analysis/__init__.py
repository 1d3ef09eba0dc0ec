"""Analysis: from finished cells to results and verdicts."""
