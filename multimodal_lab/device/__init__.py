"""Devices, distributed processes and collectives."""
