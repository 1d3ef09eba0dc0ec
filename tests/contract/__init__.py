"""What a component owes, as checks that fail with a sentence: for ours, and for those of any other package."""
