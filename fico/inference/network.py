"""A run's network, built from the config in its checkpoint: no Lightning module, no trainer, no data set."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from fico.embeddings.store import read_manifest
from fico.errors import DataError, FicoError, PathError
from fico.networks.checkpoint_io.load import load_strictly
from fico.run_context import STAMP
from fico.util.zip_records import check_records

CHECKPOINT = Path("checkpoints/best.ckpt")
PREFIX = "network."
TRUSTED = ("fico", "models")  # a checkpoint holds names of classes; no others are built from it


def load_network(run: Path) -> tuple[Any, dict[str, Any]]:
    """Build the network of a run and load the weights that were tested.

    Args:
        run: The run's folder.

    Returns:
        The network in evaluation mode, and the resolved ``model`` node of the run's config.

    Raises:
        DataError: The folder is no run, or has neither a checkpoint nor released weights, or they do not fit.
    """
    path = _checkpoint(run)
    checkpoint = None if path is None else _read(path)
    model = _stored_config(run) if checkpoint is None else checkpoint[STAMP]["model"]
    network: Any = build(_network_node(model, run))
    if path is None or checkpoint is None:
        network.load_released(Path(model["weights"]))
    else:
        state = checkpoint["state_dict"]
        own = {name.removeprefix(PREFIX): value for name, value in state.items() if name.startswith(PREFIX)}
        load_strictly(network, own, path)
    if not hasattr(network, "encode_images") or not hasattr(network, "encode_texts"):
        raise DataError(f"{type(network).__name__} of {run} has no encode_images and encode_texts; add them to search")
    return network.eval().requires_grad_(False), model


def build(node: Mapping[str, Any]) -> Any:
    """Build what a config node's ``_target_`` names, nested nodes first.

    Raises:
        DataError: The class is of no package of this project, or cannot be imported or built.
    """
    arguments = {
        str(key): build(value) if isinstance(value, Mapping) and "_target_" in value else value
        for key, value in node.items()
        if key != "_target_"
    }
    target = str(node["_target_"])
    try:
        return _imported(target)(**arguments)
    except FicoError:
        raise
    except Exception as error:
        raise DataError(
            f"{target} of the run's config cannot be built ({error}); use the release that trained it"
        ) from error


def _imported(target: str) -> Any:
    package, _, name = target.rpartition(".")
    if package.partition(".")[0] not in TRUSTED:
        raise DataError(
            f"the run's config names {target}; only classes of {' and '.join(TRUSTED)} are built from a run"
        )
    try:
        return getattr(import_module(package), name)
    except (ModuleNotFoundError, AttributeError) as error:
        raise DataError(
            f"{target} cannot be imported ({error}); start the command in the checkout that holds it"
        ) from error


def _network_node(model: Mapping[str, Any], run: Path) -> Mapping[str, Any]:
    node = model["module"].get("network")
    if not isinstance(node, Mapping) or "_target_" not in node:
        raise DataError(f"the config of {run} has no model.module.network, so it is not known how its model encodes")
    return node


def _checkpoint(run: Path) -> Path | None:
    """The checkpoint that was tested; None where the authors' weights were."""
    if not run.is_dir():
        raise PathError(f"there is no folder {run}; give the folder that a run printed last")
    path = run / CHECKPOINT
    if path.is_file():
        return path
    model = _stored_config(run)
    if model.get("checkpoint"):
        return Path(model["checkpoint"])
    if model.get("weights"):
        return None
    raise DataError(f"{run} has no {CHECKPOINT}, so there is no trained model in it; train it again or copy the file")


def _stored_config(run: Path) -> dict[str, Any]:
    """The ``model`` node as the stored embeddings name it."""
    path = run / "embeddings" / "manifest.json"
    if not path.is_file():
        raise DataError(
            f"{run} has neither {CHECKPOINT} nor embeddings (a cascade has none either); give the folder that a run "
            "printed last, of one that trained or tested a model"
        )
    manifest = read_manifest(path.parent)
    try:
        return dict(manifest["origin"]["config"])
    except (KeyError, TypeError) as error:
        raise DataError(f"{path} names no config of a model; give the folder that a run printed last") from error


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise DataError(f"there is no checkpoint {path}, which the run tested; put it back there")
    try:
        check_records(path)
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        _ = checkpoint["state_dict"], checkpoint[STAMP]["model"]
    except Exception as error:  # torch raises many kinds for a file that is none of its own
        raise DataError(f"{path} is no complete checkpoint of a run ({type(error).__name__}); copy it again") from error
    return checkpoint
