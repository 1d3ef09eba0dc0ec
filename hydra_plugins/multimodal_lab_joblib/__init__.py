"""Hydra plugin: the jobs of a sweep side by side, in processes of joblib's loky."""
