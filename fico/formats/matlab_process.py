"""The process of `matlab`: a MATLAB file from standard input to standard output as .npz. Imports nothing of FiCo."""

import io
import sys

import numpy as np

# SciPy copies every name of NumPy, which would load these two: two fifths of this process's time.
vars(np).update(f2py=None, testing=None)
from scipy.io import loadmat  # noqa: E402
from scipy.sparse import issparse  # noqa: E402


def main() -> int:
    """Read, convert and write; 1 and the reader's message where the file cannot be read."""
    try:
        found = loadmat(io.BytesIO(sys.stdin.buffer.read()))
        arrays = {key: value.toarray() if issparse(value) else value for key, value in found.items() if key[:2] != "__"}
    except Exception as error:
        sys.stderr.write(" ".join(str(error).split()) or type(error).__name__)
        return 1
    plain = {key: value for key, value in arrays.items() if isinstance(value, np.ndarray) and not value.dtype.hasobject}
    made = io.BytesIO()
    np.savez(made, *plain.values(), names=np.array(list(plain), str))
    sys.stdout.buffer.write(made.getbuffer())
    return 0


if __name__ == "__main__":
    sys.exit(main())
