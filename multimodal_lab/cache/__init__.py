"""Feature cache: the outputs of frozen backbones on disk, keyed by everything they depend on."""
