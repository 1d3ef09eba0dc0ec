"""Evaluators: scores of a trained system's embeddings on held-out samples."""
