"""One experiment: build, fit, evaluate, and load again."""
