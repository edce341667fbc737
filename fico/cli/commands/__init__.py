"""What a user types: the options of each command. Only typer is imported here, so that ``--help`` is instant."""
