"""The design of a study: arms, controls, cells, and its check."""
