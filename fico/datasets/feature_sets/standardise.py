"""Features on a common scale."""

import numpy as np
from jaxtyping import Float32


def standardised(rows: np.ndarray, train: np.ndarray) -> Float32[np.ndarray, "items dim"]:
    """Shift and scale each column to mean 0 and deviation 1 over the training rows; a constant column becomes 0."""
    mean, deviation = train.mean(axis=0, dtype=np.float64), train.std(axis=0, dtype=np.float64)
    deviation[deviation < 1e-8] = np.inf
    scaled: Float32[np.ndarray, "items dim"] = ((rows - mean) / deviation).astype(np.float32)
    return scaled
