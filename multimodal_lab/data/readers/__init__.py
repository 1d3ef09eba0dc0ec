"""Readers: one module per file format, and what they share."""
