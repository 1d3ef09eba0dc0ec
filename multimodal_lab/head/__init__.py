"""Heads: what is read off the features."""
