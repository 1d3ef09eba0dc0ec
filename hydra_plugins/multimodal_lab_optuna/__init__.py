"""Hydra plugin: `hydra/sweeper=optuna` with any version of Optuna."""
