"""Category labels that a model gives to images: pseudo-labels, marked as such wherever they go."""
