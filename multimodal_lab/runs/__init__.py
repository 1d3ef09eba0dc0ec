"""Run directories: their files, hashes, provenance and summary."""
