"""The design of a study: arms, controls, cells, and the check of it."""
