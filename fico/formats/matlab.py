"""Arrays of MATLAB files before v7.3, read by SciPy in a process of its own: a damaged file can end SciPy's process."""

import io
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np

READER = Path(__file__).with_name("matlab_process.py")


def read_matlab(path: Path) -> dict[str, np.ndarray]:
    """Every array of numbers or text of a file, by name; sparse matrices as full ones.

    Raises:
        OSError: The file is missing or cannot be opened.
        ValueError: It is damaged or of another form; the message is the reader's.
    """
    with path.open("rb") as file:
        done = subprocess.run([sys.executable, "-P", str(READER)], stdin=file, capture_output=True)
    if done.returncode < 0:
        raise ValueError(f"SciPy's reader is ended by {signal.Signals(-done.returncode).name} over it")
    if done.returncode:
        raise ValueError(done.stderr.decode(errors="replace").strip().rpartition("\n")[2])
    with np.load(io.BytesIO(done.stdout), allow_pickle=False) as found:
        return {str(name): found[f"arr_{row}"] for row, name in enumerate(found["names"])}
