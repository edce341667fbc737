"""Locks: of a folder by one process, and of a value by many readers or one writer."""
