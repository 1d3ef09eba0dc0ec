"""From rows to batches: collating, workers, and samples that cannot be read."""
