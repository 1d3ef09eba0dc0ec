"""Losses: pure functions of tensors, and scalars that are learned or scheduled."""
