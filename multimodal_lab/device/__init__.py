"""Devices, processes and their collectives."""
