"""Scores of pairs: score matrices in tiles, re-ranking of candidates, and resumable score files."""
