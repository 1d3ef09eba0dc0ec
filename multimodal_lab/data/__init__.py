"""Data: readers of stored sets, and what makes batches of them."""
