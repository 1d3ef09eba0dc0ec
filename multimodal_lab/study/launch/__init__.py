"""Launch the cells of a study, and conclude when they are done."""
