"""A run of ``model=cascade``, from its checked config to the files of its folder."""

import logging
import time
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from fico.bench.cascade.cascade import Outcome, measure
from fico.bench.cascade.outputs import write_cascade
from fico.bench.cascade.table import cascade_tables
from fico.experiment.config.cascade import cascade_request
from fico.experiment.folder import print_folder, write_config
from fico.experiment.resume.unfinished import Unfinished
from fico.experiment.sweep import is_finished, run_key
from fico.report.results.schema import RESULTS
from fico.report.table.terminal import print_table
from fico.util.atomic import sha256

log = logging.getLogger(__name__)


def run(config: DictConfig, unfinished: Unfinished) -> Path:
    """Measure the cascade.

    Args:
        config: Checked by `fico.experiment.config.checks.check_config`.
        unfinished: The mark in the run's folder.

    Returns:
        The run's folder, whose path is also the last line of standard output. ``results.json`` is in it.

    Raises:
        FicoError: Whatever the user can fix.
    """
    begin, folder, request = time.perf_counter(), unfinished.folder, cascade_request(config)
    plain: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    key = run_key(plain, [sha256(stage.folder / RESULTS) for stage in (request.screen, request.rank)])
    if unfinished.is_resumed and is_finished(folder, key):
        log.info("%s holds the results of the same config, runs and code; nothing to do", folder)
        return print_folder(folder)
    (folder / RESULTS).unlink(missing_ok=True)
    write_config(folder, config)
    outcome = measure(request, report=lambda step: log.info("measuring: %s", step))
    for table in cascade_tables(outcome, request.rank.results.data.split):
        print_table(table)
    if config.get("logger"):
        _log(config, plain, folder, outcome)
    write_cascade(folder, request, outcome, time.perf_counter() - begin, key=key)
    return print_folder(folder)


def _log(config: DictConfig, plain: dict[str, Any], folder: Path, outcome: Outcome) -> None:
    """Metrics of the deepest cascade, as other runs log those of their test."""
    from fico.experiment.loggers.open import open_loggers
    from fico.experiment.loggers.run_metadata import cascade_metadata
    from fico.experiment.quiet import quiet

    quiet()
    metrics = outcome.cascades[-1].metrics
    with open_loggers(config.logger, folder, cascade_metadata(plain)) as loggers:
        for logger in loggers:
            logger.log_metrics({name: metric.value for name, metric in metrics.items() if "/chance/" not in name})
            logger.save()
