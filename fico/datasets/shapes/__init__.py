"""The embedded data set: generated scenes with captions and category labels."""
