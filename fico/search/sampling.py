"""First limits from a sample: how near an item must be to have a chance at all."""

import math

STRIDE = 128  # the sample is one item in 128


def sampled_place(k: int, deviations: int = 3) -> int:
    """Place in a sample of one item in ``STRIDE`` that lies behind the k nearest of all codes.

    With s = k / 128 of the sample expected among the k nearest, its place s + 3 sqrt(s) + 2 lies beyond them but for
    about one query in a thousand.

    Args:
        k: Places.
        deviations: What stands for the 3.
    """
    share = k / STRIDE
    return math.ceil(share + deviations * math.sqrt(share) + 2)
