"""Digests by which files know whether they are whole."""
