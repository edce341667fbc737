"""Queries against a database that they are not in."""
