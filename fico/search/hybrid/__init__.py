"""Coarse-to-fine search: lists, codes within them, floats for the candidates."""
