"""First limits of a scan from a sample of the items."""

import math

STRIDE = 128  # the sample is one item in 128


def sampled_rank(k: int, deviations: int = 3) -> int:
    """Rank in a sample of one item in ``STRIDE`` below the k nearest of all items.

    With s = k / 128 of the sample expected among the k nearest, its rank s + 3 sqrt(s) + 2 lies beyond them but for
    about one query in a thousand.

    Args:
        k: Items of each query.
        deviations: What stands for the 3.
    """
    share = k / STRIDE
    return math.ceil(share + deviations * math.sqrt(share) + 2)
