"""Torch data sets over a split, collation, and the sampler that shards evaluation over processes."""
