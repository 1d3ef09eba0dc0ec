"""What could make a comparison on these data untrue: leaks, copies, confounds, found before training."""
