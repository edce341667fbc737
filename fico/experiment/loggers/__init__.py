"""Loggers of a run: opened so that none costs a result, and what W&B and others are given besides plain numbers."""
