"""Tiled contrastive losses: bounded memory at any number of rows, on the CPU and by Triton on a GPU."""
