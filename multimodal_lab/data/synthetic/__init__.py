"""Synthetic data sets with known ground truth."""
