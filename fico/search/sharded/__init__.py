"""Indexes in shards by ranges of item ids, in one process or on Ray."""
