"""Batches of a split for torch loaders, and their sharding over processes."""
