"""Splits into train, val and test, and the hashing behind them."""
