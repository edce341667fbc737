"""The ``fico`` command: ``app`` reads the command line, each other file does one command's work."""
