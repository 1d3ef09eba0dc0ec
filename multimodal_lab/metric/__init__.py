"""Pure functions of arrays that score embeddings."""
