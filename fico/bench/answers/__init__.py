"""Every index at its exhaustive setting against brute force, on random cases."""
