"""The ``fico`` command: ``commands/`` holds what a user types, each other file does the work of one command."""
