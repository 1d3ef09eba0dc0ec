"""Media of the files that a table names, one module each: images, audio, video."""
