"""Checkpoints as data: safetensors and JSON, hashed and written atomically."""
