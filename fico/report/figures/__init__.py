"""Curves and figure files."""
