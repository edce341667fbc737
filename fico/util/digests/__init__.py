"""File integrity: digests of every file."""
