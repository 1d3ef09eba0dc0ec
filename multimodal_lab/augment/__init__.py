"""Augmentation on the device: geometric ops shared by all streams, photometric ops per stream."""
