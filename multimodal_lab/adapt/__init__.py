"""Adapt a system that stands: freeze parts of it, or take encoders that another run has trained."""
