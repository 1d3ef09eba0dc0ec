"""Embedded data sets whose truth is known."""
