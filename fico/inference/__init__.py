"""A trained model in use: its network from the run's folder, new images and captions, and search."""
