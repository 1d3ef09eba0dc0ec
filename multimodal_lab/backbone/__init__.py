"""Backbones (encoders): a stream in, Features out."""
