"""What makes a run faster: precision of products, compiled encoders, and the largest evaluation batch that fits."""

import logging
from collections.abc import Callable
from typing import Any

import pytorch_lightning as L
import torch

from fico.embeddings.encode import whole_batches
from fico.errors import UsageError
from fico.experiment.datamodule import RetrievalDataModule

log = logging.getLogger(__name__)
MOST_IMAGES = 1024  # of an evaluation batch that `auto` tries; no model is faster with more
_METHODS = ("forward", "encode_images", "encode_texts", "score", "score_lists", "match", "match_lists")


def compile_network(network: torch.nn.Module, backend: str) -> None:
    """Compile what encodes and scores, for shapes that change from batch to batch; names of weights stay.

    Args:
        network: Of a module.
        backend: Of `torch.compile`.

    Raises:
        UsageError: torch has no such backend; those it has are named.
    """
    known = torch.compiler.list_backends(exclude_tags=())
    if backend not in known:
        raise UsageError(f"throughput.compile is {backend!r}; take one of {', '.join(known)}")
    for name in _METHODS:
        method: Callable[..., Any] | None = getattr(network, name, None)
        if method is not None:
            setattr(network, name, torch.compile(method, backend=backend, dynamic=True))


def fit_evaluation_batch(trainer: L.Trainer, module: L.LightningModule, data: RetrievalDataModule) -> None:
    """Double the images of an evaluation batch for as long as the GPU encodes the longest captions of so many.

    The loaders see to it that enough batches of a small split are left.

    On a CPU, whose memory is not short at this size and which a larger batch does not make faster, nothing changes.

    Raises:
        UsageError: There are several processes, which would find different sizes.
    """
    device = trainer.strategy.root_device
    if trainer.world_size > 1:
        raise UsageError(
            "throughput.evaluation_batch=auto is found by one process; with trainer.devices above 1 give a number"
        )
    if device.type == "cpu":
        return
    module.to(device).eval()
    while (images := 2 * data.evaluation_batch) <= MOST_IMAGES and _fits(trainer, module, data, images):
        data.evaluation_batch = images
    log.info("an evaluation batch has %d images", data.evaluation_batch)


def _fits(trainer: L.Trainer, module: L.LightningModule, data: RetrievalDataModule, images: int) -> bool:
    batch = trainer.strategy.batch_to_device(data.longest_batch(images))
    try:
        with torch.inference_mode(), trainer.precision_plugin.test_step_context(), whole_batches():
            module.test_step(batch, 0)
    except torch.cuda.OutOfMemoryError:
        return False
    finally:
        torch.cuda.empty_cache()  # does nothing where CUDA was not used
    return True
