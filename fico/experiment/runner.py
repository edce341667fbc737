"""One run, from a checked config to the files of its folder."""

import logging
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytorch_lightning as L
from omegaconf import DictConfig, OmegaConf

from fico.experiment.checkpoints.module import fill_sizes, weights_origin
from fico.experiment.config.pairing import input_nodes
from fico.experiment.context import run_context
from fico.experiment.data import build_data
from fico.experiment.datamodule import RetrievalDataModule
from fico.experiment.efficiency import efficiency
from fico.experiment.folder import print_folder, write_config
from fico.experiment.loggers.open import keep_metrics, open_loggers
from fico.experiment.loggers.run_metadata import run_metadata
from fico.experiment.notes import collected_warnings
from fico.experiment.outputs import write_outputs
from fico.experiment.quiet import quiet
from fico.experiment.resume.processes import launched_rank, shared
from fico.experiment.resume.unfinished import Unfinished
from fico.experiment.sweep import is_finished, run_key
from fico.experiment.training import train_and_test
from fico.inference.inputs import write_inputs
from fico.report.results.schema import RESULTS, write_results_text
from fico.util.compute.torch_settings import torch_settings_kept

log = logging.getLogger(__name__)


def run(config: DictConfig, unfinished: Unfinished) -> Path:
    """Train, encode, evaluate and report as the config says, from where a killed process stopped.

    Args:
        config: Checked by `fico.experiment.config.checks.check_config`.
        unfinished: How far the run came in its folder before.

    Returns:
        The run's folder, whose path is also the last line of standard output. ``results.json`` is in it.

    Raises:
        FicoError: Whatever the user can fix.
    """
    begin, started = time.perf_counter(), datetime.now(UTC).isoformat(timespec="seconds")
    quiet()
    L.seed_everything(config.seed, workers=True, verbose=False)
    folder = unfinished.folder
    data = build_data(config)
    OmegaConf.set_readonly(config, False)
    config.model.module = fill_sizes(config.model.module, data.inputs.sizes)
    key = _key(config, data)
    if unfinished.is_resumed and is_finished(folder, key):
        log.info("%s holds the results of the same config, data and code; nothing to do", folder)
        return print_folder(folder)
    if (folder / RESULTS).exists():  # of another run; these are there for a finished one alone
        log.warning("%s holds the results of another run, which this one replaces (hydra.run.dir)", folder)
        (folder / RESULTS).unlink()
    _begin(unfinished, key)
    write_config(folder, config)
    write_inputs(folder, data.splits["train"], data.splits[data.test_split], data.inputs, _readers(config))
    context, is_tested = run_context(folder, config, data, key), "test" in config.stage
    opened, text = open_loggers(config.logger, folder, run_metadata(config, context)), None
    with torch_settings_kept(), collected_warnings() as warned, opened as loggers:
        tested = train_and_test(config, data, context, loggers, unfinished)
        if is_tested and tested.trainer.is_global_zero:
            notes, seconds = (*tested.notes, *warned), time.perf_counter() - begin
            measured = efficiency(context.outputs, data, context.bits)
            text = write_outputs(
                config, data, context, measured, notes, loggers, key=key, started=started, seconds=seconds
            )
    if tested.trainer.is_global_zero:
        if text is not None:
            write_results_text(folder, text)
        else:
            for note in (*tested.notes, *warned):
                log.info(note)
        print_folder(folder)
    return folder


def _begin(unfinished: Unfinished, key: str) -> None:
    """The first process clears the folder of what another run left; the others take over what it found."""
    if launched_rank() == 0 and unfinished.begin(key, is_writer=True):
        keep_metrics(unfinished.folder)
    shared("begun", lambda: "")
    if launched_rank() > 0:
        unfinished.begin(key, is_writer=False)


def _readers(config: DictConfig) -> dict[str, Any]:
    """What makes the inputs of each side: a kind of features, or the node of a reader."""
    nodes = input_nodes(config)
    return {
        side: OmegaConf.to_container(node, resolve=True) if isinstance(node, DictConfig) else node
        for side, node in nodes.items()
    }


def _key(config: DictConfig, data: RetrievalDataModule) -> str:
    """What the numbers of the run depend on."""
    plain: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    fingerprints = [split.fingerprint for split in data.splits.values()]
    features = (*data.inputs.origin.values(), *data.inputs.digests)
    return run_key(plain, [*fingerprints, *_weight_digests(config.model), *features])


def _weight_digests(model: DictConfig) -> list[str]:
    """Hashes of the weights that a run starts from, as their path does not say what is in them."""
    origins = [weights_origin(path) or {} for path in (model.weights, model.checkpoint)]
    return [digest for files in origins for digest in files.values()]
