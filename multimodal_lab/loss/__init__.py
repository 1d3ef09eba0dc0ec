"""Losses: pure functions of tensors, wired by name, and the numbers they learn or schedule."""
