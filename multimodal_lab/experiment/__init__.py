"""One experiment: build, fit, evaluate, reload."""
