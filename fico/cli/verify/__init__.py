"""``fico verify``: files by their digests, metrics from what was stored."""

from fico.cli.verify.run import verify_run as verify_run
