"""The state of all random generators in checkpoints, so that a resumed training goes on with the same numbers."""

import random
from typing import Any

import numpy as np
import pytorch_lightning as L
import torch

from fico.util.processes import gather_objects


class RandomState(L.Callback):
    """Stores the state of the generators of every process with each checkpoint, and restores it in a resumed training.

    A checkpoint of fewer or more processes restores nothing: its batches are others anyway.

    Differs:
        Lightning's checkpoints hold no random state, so that dropout and drawn negatives differ after a resume.
    """

    def __init__(self) -> None:
        self._loaded: list[dict[str, Any]] | None = None

    def state_dict(self) -> dict[str, Any]:
        """The states by rank; called in every process."""
        return {"ranks": gather_objects(_state())}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the states until the training starts: what is built before it draws numbers as well."""
        self._loaded = state_dict["ranks"]

    def on_fit_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Restore the state before the loaders draw from it."""
        if self._loaded is not None and len(self._loaded) == trainer.world_size:
            _restore(self._loaded[trainer.global_rank])
        self._loaded = None


def _state() -> dict[str, Any]:
    """Plain values and tensors, which load without pickle."""
    numbers: Any = np.random.get_state(legacy=True)  # noqa: NPY002  the global generator
    kind, keys, position, has_gauss, gauss = numbers
    is_cuda = torch.cuda.is_available() and torch.cuda.is_initialized()
    return {
        "python": random.getstate(),
        "numpy": (str(kind), torch.from_numpy(keys.astype(np.int64)), int(position), int(has_gauss), float(gauss)),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if is_cuda else None,
    }


def _restore(state: dict[str, Any]) -> None:
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, keys.cpu().numpy().astype(np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(state["torch"].cpu())
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"].cpu())
