"""Builds modules from a config, and checks the checkpoints that runs wrote."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as L
import torch
from omegaconf import DictConfig, OmegaConf
from torch import nn

from fico.errors import DataError, PathError, UsageError
from fico.experiment.build import build
from fico.experiment.config.checks import WEIGHT_SUFFIXES
from fico.networks.checkpoint_io.load import load_strictly
from fico.run_context import STAMP
from fico.util.digests.cached import file_digests
from fico.util.zip_records import check_records

log = logging.getLogger(__name__)


def fill_sizes(module: DictConfig, sizes: dict[str, int]) -> DictConfig:
    """Fill in the sizes that only the data know.

    Args:
        module: The ``model.module`` node. A leaf named like a size and left ``null`` takes it.
        sizes: Sizes by name, such as ``image_dim`` or ``vocab_size``.

    Returns:
        A resolved copy.

    Raises:
        UsageError: A leaf has another value than the data.
    """
    filled: DictConfig = OmegaConf.create(OmegaConf.to_container(module, resolve=True))  # type: ignore[assignment]
    _fill(filled, sizes, "model.module")
    return filled


def _fill(node: Any, sizes: dict[str, int], path: str) -> None:
    for key in node:
        value, name = node[key], f"{path}.{key}"
        if isinstance(value, DictConfig):
            _fill(value, sizes, name)
        elif key in sizes and value is None:
            node[key] = sizes[key]
        elif key in sizes and value != sizes[key]:
            raise UsageError(f"{name} is {value}, but the data have {sizes[key]}; leave it out")


def build_module(model: DictConfig) -> L.LightningModule:
    """Build the module, and load the authors' weights if ``weights`` names them.

    Raises:
        DataError: The weights file is missing or does not fit.
    """
    module: Any = build(model.module)
    if model.weights:
        module.network.load_released(Path(model.weights))
    built: L.LightningModule = module
    return built


def weights_origin(weights: str | None) -> dict[str, str] | None:
    """Identify the authors' weights that a run used; gigabytes are hashed once, until their files change.

    Args:
        weights: ``model.weights``: a file, a folder of weight files, or a hub name.

    Returns:
        SHA-256 of each file by name; for a hub name the name alone. None without weights.
    """
    if not weights:
        return None
    path = Path(weights)
    files = [path] if path.is_file() else sorted(file for file in path.glob("*") if file.suffix in WEIGHT_SUFFIXES)
    digests = file_digests(files, label="Reading the weights for their digests")
    return dict(zip((file.name for file in files), digests, strict=True)) or {"hub": str(weights)}


def tested_state(module: nn.Module, state: Mapping[str, Any]) -> dict[str, Any]:
    """The state dict of a checkpoint for a test on other data than those of the training.

    Args:
        module: Takes the weights.
        state: Of the checkpoint. What only a training reads, the buffers of losses such as a memory bank with a row for
            each training pair, is taken from the module where the sizes differ.
    """
    own = module.state_dict()
    of_losses = tuple(
        f"{name}." for name, part in module.named_modules() if type(part).__module__.startswith("fico.losses.")
    )
    return {
        name: own[name] if name.startswith(of_losses) and name in own and own[name].shape != value.shape else value
        for name, value in state.items()
    }


def check_checkpoint(path: Path, module: L.LightningModule, data: str, *, is_tested: bool = False) -> None:
    """Refuse a checkpoint of another model before anything starts; warn if it was trained on other data.

    Args:
        path: A ``.ckpt`` that a run wrote.
        module: The module that will take its weights.
        data: Fingerprint of the training split, on which vocabularies and scales are fitted.
        is_tested: The module is tested alone, so that what only a training reads need not fit.

    Raises:
        DataError: The file is missing, is not such a checkpoint, or does not fit the module.
    """
    checkpoint = read_checkpoint(path)
    state = checkpoint["state_dict"]
    load_strictly(module, tested_state(module, state) if is_tested else state, path)
    if checkpoint[STAMP]["data"] != data:
        log.warning(
            "%s was trained on other data than this run's: a vocabulary or scale fitted on them now differs, and "
            "the numbers mean nothing where the model uses one",
            path,
        )


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint of ours without running any code in it.

    Raises:
        DataError: The file is missing or is not such a checkpoint.
    """
    checkpoint = load_checkpoint(path)
    if STAMP not in checkpoint:
        raise DataError(f"{path} was not written by a run of this project; authors' weights go to model.weights")
    return checkpoint


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint of Lightning, stamped or not, without running any code in it.

    Raises:
        DataError: The file is missing, damaged or cannot be read.
    """
    if not path.is_file():
        raise PathError(f"there is no checkpoint {path}; model.checkpoint takes a .ckpt that a run wrote")
    check_records(path)
    try:
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a file that is none of its own
        raise DataError(f"{path} cannot be read as a checkpoint ({type(error).__name__}); was it cut short?") from error
    return checkpoint
