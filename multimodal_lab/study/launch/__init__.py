"""Launch a study's cells and conclude when they are done."""
