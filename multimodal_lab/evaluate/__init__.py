"""Passes over a trained system: what its embeddings know, on held-out samples."""
