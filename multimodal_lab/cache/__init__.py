"""What frozen backbones say of every sample, kept on disk by all that it depends on."""
