"""Resumable downloads of the well-known data sets, and their archives."""
