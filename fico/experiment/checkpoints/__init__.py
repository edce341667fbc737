"""Checkpoints of a run: which are kept, how modules are built from them, and whether they fit."""
