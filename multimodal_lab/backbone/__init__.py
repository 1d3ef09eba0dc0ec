"""Encoders: a stream in, Features out."""
