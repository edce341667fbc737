"""Settings of all of torch: set for a run, and restored for the next job of the process."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def torch_settings_kept() -> Iterator[None]:
    """Restores what a run sets for all of torch, by ``throughput`` or the trainer's ``deterministic``, ``benchmark``.

    The next job of a sweep would take it over, and the features that it makes would stay in the cache.
    """
    precision, cudnn = torch.get_float32_matmul_precision(), torch.backends.cudnn
    benchmark, allows_tf32 = cudnn.benchmark, cudnn.allow_tf32
    is_deterministic = torch.are_deterministic_algorithms_enabled()
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(precision)
        cudnn.benchmark, cudnn.allow_tf32 = benchmark, allows_tf32
        torch.use_deterministic_algorithms(is_deterministic, warn_only=warns)


def set_float32_precision(precision: str) -> None:
    """Precision of float32 products, convolutions and recurrent layers.

    Args:
        precision: ``highest``, ``high`` or ``medium``, of ``torch.set_float32_matmul_precision``. That function leaves
            cuDNN alone, which computes convolutions and GRUs in TF32 unless its own setting forbids that.
    """
    torch.set_float32_matmul_precision(precision)
    torch.backends.cudnn.allow_tf32 = precision != "highest"
