"""The data audit of a study."""
