"""Speed, recall and memory of every kind of index."""
