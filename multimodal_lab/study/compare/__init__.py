"""`study=compare`: a whole study of one's own data, derived from the data and the modality that a command names."""
