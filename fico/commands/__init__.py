"""What the commands of `fico` do; fico/cli.py only reads the command line."""
