"""Energy that a GPU or a processor took, by the counters that the driver or the Linux kernel keeps."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

POWERCAP = Path("/sys/class/powercap")


class EnergyMeter:
    """Adds up the joules since it was made.

    Counted is all that the device does, not this process alone: the GPU where one is used, else the processor's
    packages. Of a GPU `pynvml` must be importable; the kernel lets only root read a processor's counters by default.
    Their counters begin again after some minutes to hours, so that `read` must be called more often.
    """

    def __init__(self) -> None:
        self._counters = _gpu() if torch.cuda.is_initialized() else _packages()
        self._joules = 0.0
        self._last = self._values()

    def read(self) -> float | None:
        """Joules up to now; None where a counter is missing or cannot be read."""
        values = self._values()
        if values is None or self._last is None:
            self._last = None
            return None
        for counter, before, value in zip(self._counters, self._last, values, strict=True):
            self._joules += value - before + (counter.limit if value < before else 0.0)
        self._last = values
        return self._joules

    def _values(self) -> list[float] | None:
        try:
            return [counter.read() for counter in self._counters] or None
        except (OSError, ValueError):
            return None


@dataclass(frozen=True, slots=True)
class _Counter:
    read: Callable[[], float]  # joules since some time
    limit: float  # joules at which it begins again


def _packages() -> list[_Counter]:
    """One for each processor package; a package that the kernel lists twice counts once."""
    found: dict[str, _Counter] = {}
    for zone in sorted(POWERCAP.glob("*:*")):
        try:
            name, limit = (zone / "name").read_text().strip(), _joules(zone / "max_energy_range_uj")
        except (OSError, ValueError):
            continue
        if name.startswith("package"):  # others are a part of a package, or the whole machine
            found.setdefault(name, _Counter(lambda zone=zone: _joules(zone / "energy_uj"), limit))  # type: ignore[misc]
    return list(found.values())


def _joules(file: Path) -> float:
    return int(file.read_text()) / 1e6


def _gpu() -> list[_Counter]:
    """That of the current GPU; none where NVML is missing, or does not know the device, as with a part of one."""
    try:
        import pynvml
    except ImportError:
        return []

    def joules() -> float:
        try:
            return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1e3
        except pynvml.NVMLError as error:
            raise OSError(str(error)) from error

    try:
        pynvml.nvmlInit()
        device = torch.cuda.get_device_properties(torch.cuda.current_device())
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{device.uuid}")
    except pynvml.NVMLError:
        return []
    return [_Counter(joules, math.inf)]
