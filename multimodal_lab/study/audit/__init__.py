"""The audit of a study's data."""
