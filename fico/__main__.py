"""``python -m fico``: the ``fico`` command."""

from fico.cli.app import app

app(prog_name="fico")
