"""Cross-field rules of a config: combinations of values that no single node can check."""
