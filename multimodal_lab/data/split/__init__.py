"""Train, val and test splits, and stable hashing."""
