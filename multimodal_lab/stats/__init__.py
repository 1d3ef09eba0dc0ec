"""The study's statistics: pure functions on arrays."""
