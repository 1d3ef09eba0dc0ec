"""Checkpoints as safetensors and JSON, hashed and written atomically."""
