"""Data sets, readers, splits, streams and loaders."""
