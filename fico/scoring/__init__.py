"""Scores of pairs: whole matrices in tiles, resumable score files, and re-ranking of candidates."""
