"""Random draws that are a function of (seed, epoch, sample id) alone."""
