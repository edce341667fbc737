"""Image features: pixels, convolutional features, regions."""
