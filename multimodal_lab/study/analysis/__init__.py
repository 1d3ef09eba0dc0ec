"""From finished cells to results and verdicts."""
