"""A package as another laboratory would write it: molecules as graphs, and counts of what was seen near them."""
