"""Fusions: {stream: Features} to the same and `fused`."""
