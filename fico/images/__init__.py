"""Image files: decoding, and fixed descriptors of the pixels."""
