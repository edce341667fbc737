"""Devices that search may run on."""

import importlib.util
import re
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from torch import Tensor

from fico.errors import DataError, UsageError
from fico.search.base import LENGTHS, to_floats, unusual_row
from fico.util.arrays import Embeddings
from fico.util.compute.precision import full_precision
from fico.util.units import bytes_text

_SHARED_MEMORY = 101_376  # bytes that a block may take on any GPU since 2020, where torch cannot tell
_ROWS = 65_536  # rows checked in one go


def check_device(device: str) -> None:
    """Refuses devices that are not there.

    Raises:
        UsageError: It is neither the CPU nor a CUDA device of this machine.
    """
    if device == "cpu":
        return
    if not isinstance(device, str) or not re.fullmatch(r"cuda(:\d+)?", device):
        raise UsageError(f"device is {device!r}; choose cpu, cuda or cuda:<number>")
    found = torch.cuda.device_count()
    if int(device.partition(":")[2] or 0) >= found:
        raise UsageError(f"device is {device!r}, but torch finds {found} CUDA devices; choose cpu or fix the driver")


def on(device: str) -> AbstractContextManager[object]:
    """While it is open the device is torch's current one, which kernels, streams and pinned memory follow."""
    return torch.cuda.device(device) if device.startswith("cuda") else nullcontext()


def has_triton() -> bool:
    """Whether fused kernels can be compiled."""
    return importlib.util.find_spec("triton") is not None


def fuses_kernels(device: str) -> bool:
    """Whether fused kernels can run on a device: it must be the GPU itself, not the CPU of a machine that has one."""
    return device.startswith("cuda") and has_triton()


def shared_memory(device: str) -> int:
    """Bytes of shared memory that one block of threads may take on a device.

    Of the CPU, where kernels run in Triton's interpreter, it is said to be plenty.
    """
    if not device.startswith("cuda"):
        return 2**62
    properties = torch.cuda.get_device_properties(device)
    return int(getattr(properties, "shared_memory_per_block_optin", _SHARED_MEMORY))


def to_tensor(
    values: Embeddings, what: str, device: str, dim: int | None = None, shortest: float = LENGTHS[0]
) -> Tensor:
    """Checked ``float32`` rows on a device; rows that lie there already are not copied.

    Args:
        values: Embeddings, one row each.
        what: ``"items"`` or ``"queries"``, for the message.
        device: As torch names it.
        dim: Width of the rows that were added before, if any.
        shortest: Smallest length of a row that is not zero.

    Raises:
        DataError: Wrong shape, another width, or a row as ``to_floats`` refuses it (it is named).
        UsageError: The device is short of memory (the predicted size is named).
    """
    if not isinstance(values, Tensor) or not _is_elsewhere(values):
        array = to_floats(values, what, dim, shortest)
        require_device_memory(device, array.nbytes, f"{len(array)} {what} of {array.shape[1]} dimensions")
        return torch.tensor(array, device=device)  # a copy: mapped rows are read-only
    if values.ndim != 2 or 0 in values.shape or values.is_complex():
        raise DataError(
            f"the {what} have shape {tuple(values.shape)} and type {values.dtype}; give a matrix of real numbers with "
            "one row each"
        )
    if dim is not None and values.shape[1] != dim:
        raise DataError(f"the {what} have {values.shape[1]} dimensions, but the index holds items of {dim}")
    rows = values.detach().to(device, torch.float32)
    for start in range(0, len(rows), _ROWS):
        squares = rows[start : start + _ROWS].square().sum(dim=1)
        usual = (squares > shortest**2) & (squares < LENGTHS[1] ** 2)
        usual |= ~values[start : start + _ROWS].to(device).any(dim=1)  # zero vectors may be compared
        if not usual.all():
            row = start + int((~usual).nonzero()[0])
            raise unusual_row(values[row].detach().cpu().double().numpy(), row, what, shortest)
    return rows


def owned_tensor(rows: Tensor, source: object) -> Tensor:
    """Rows that their caller cannot overwrite: copied where they are the memory that was handed over.

    Args:
        rows: What shall be kept.
        source: What a caller handed over.

    Raises:
        UsageError: The device is short of memory for the copy (the predicted size is named).
    """
    if not isinstance(source, Tensor) or rows.untyped_storage().data_ptr() != source.untyped_storage().data_ptr():
        return rows
    size = rows.numel() * rows.element_size()
    require_device_memory(str(rows.device), size, f"a copy of {len(rows)} items")
    return rows.clone()


def _is_elsewhere(values: Tensor) -> bool:
    return values.device.type != "cpu"


def require_device_memory(device: str, size: int, what: str) -> None:
    """Refuses what does not fit into the free memory of a device.

    Args:
        device: As torch names it.
        size: Bytes that will be taken at once.
        what: For the message: what takes them.

    Raises:
        UsageError: Less is free; both sizes are named.
    """
    free = free_device_memory(device)
    if size > free:
        raise UsageError(
            f"{what} need about {bytes_text(size)} on {device}, but {bytes_text(free)} are free; keep them narrower, "
            "take fewer or search on the CPU"
        )


def free_device_memory(device: str) -> int:
    """Bytes of a device that this process may still take, those included that torch holds in reserve.

    For the CPU, where tests run the parts of a device, it is unlimited: memory is checked elsewhere.
    """
    if not device.startswith("cuda"):
        return 2**62
    reserve = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + reserve


def packed_signs(rows: Tensor, matrix: Tensor, offset: Tensor) -> np.ndarray:
    """Codes of rows on a device, as rows of bytes: the signs of ``rows @ matrix.T + offset``, the first bit highest."""
    weights = 2 ** torch.arange(7, -1, -1, device=rows.device, dtype=torch.uint8)
    parts = []
    with full_precision():
        for start in range(0, len(rows), _ROWS):
            signs = rows[start : start + _ROWS] @ matrix.T + offset > 0
            bits = signs.reshape(len(signs), -1, 8) * weights
            parts.append(bits.sum(dim=2, dtype=torch.uint8).cpu().numpy())
    return np.concatenate(parts)
