"""What a number was made with: commit, package versions, machine."""

import platform
import subprocess
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from fico.util.resources import cores

SOURCE = Path(__file__).resolve().parents[2]
PACKAGES = (
    "fico",
    "torch",
    "pytorch-lightning",
    "torchmetrics",
    "hydra-core",
    "omegaconf",
    "wandb",
    "numpy",
    "scipy",
    "numba",
    "gensim",
    "nltk",
    "transformers",
    "sentencepiece",
    "faiss-cpu",
    "faiss-gpu",
    "safetensors",
    "pillow",
)


def versions() -> dict[str, str]:
    """Versions of Python and of every installed package that a number can depend on."""
    return {"python": platform.python_version(), **_package_versions()}


@cache
def _package_versions() -> dict[str, str]:
    """Read once: what a process has imported stays as it is."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def hardware() -> dict[str, str | int | float]:
    """The machine: system, CPU, cores, threads that torch uses, memory in bytes, accelerator.

    Returns:
        Keys ``system``, ``cpu``, ``cores`` (that this process may use), ``memory_bytes`` (of the machine),
            ``threads`` and ``gpu`` (only once torch is loaded).
    """
    found: dict[str, str | int | float] = {
        "system": platform.platform(),
        "cpu": _cpu_model(),
        "cores": cores(),
        "memory_bytes": psutil.virtual_memory().total,
    }
    torch = sys.modules.get("torch")  # reading its settings must not be what loads it
    if torch is not None:
        found["threads"] = torch.get_num_threads()
        if torch.cuda.is_available():
            found["gpu"] = torch.cuda.get_device_name()
    return found


def commit() -> str:
    """The git commit of the source.

    Returns:
        40 hexadecimal digits, followed by ``-dirty`` where files differ; ``unknown`` outside a checkout.
    """
    top = _git("rev-parse", "--show-toplevel")
    if top is None or Path(top).resolve() != SOURCE:  # installed into the folder of another project
        return "unknown"
    head = _git("rev-parse", "HEAD")
    if head is None:
        return "unknown"
    return f"{head}-dirty" if _git("status", "--porcelain", "--untracked-files=no") else head


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(SOURCE), *arguments], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _cpu_model() -> str:
    try:  # psutil has no name of the processor
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux
    return platform.processor() or platform.machine()
