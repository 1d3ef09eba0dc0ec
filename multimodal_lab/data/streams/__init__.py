"""From stored values to the tensors of a stream."""
