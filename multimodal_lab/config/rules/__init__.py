"""Rules on combinations of a config's values that no single node can judge."""
