"""Runs that go on: the folder of an unfinished run, how far it came, and what a checkpoint needs for the same bits."""
