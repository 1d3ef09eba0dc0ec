"""A laboratory for multimodal and cross-modal learning."""
