"""Hydra plugins: the jobs of a sweep side by side on this machine, as jobs of a cluster, or as tasks of Ray."""
