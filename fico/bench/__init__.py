"""Benches: how fast and how large, each figure with its conditions."""
