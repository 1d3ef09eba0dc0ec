"""Statistics of a study: pure functions of arrays."""
