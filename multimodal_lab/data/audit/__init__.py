"""Data audit before training: leaks, duplicates, confounds."""
