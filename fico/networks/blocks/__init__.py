"""Layers of several architectures."""
