"""Logging of a run: the console, metrics.jsonl and trackers."""
