"""Views of a batch, made on the device: geometry shared by all streams, photometry for each."""
