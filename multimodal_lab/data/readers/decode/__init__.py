"""What runs in the decoder's process, one module per medium: they import neither torch nor the rest of this package."""


class Refused(ValueError):
    """What a file holds and can't be used, in words for the user; the caller names the file."""
