"""Adapt pretrained systems: freeze modules, or load encoders from other runs."""
