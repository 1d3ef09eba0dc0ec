"""Streams: from stored values to input tensors."""
