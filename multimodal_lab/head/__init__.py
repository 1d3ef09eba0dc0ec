"""Heads: named outputs computed from the features."""
