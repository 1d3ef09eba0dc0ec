"""Hydra plugin namespace package of multimodal_lab."""
