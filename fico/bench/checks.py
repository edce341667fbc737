"""What every bench refuses before it starts."""

from collections.abc import Sequence
from typing import Any

from fico.codes import check_bits
from fico.errors import UsageError


def check_counts(bench: Any, names: Sequence[str], least: int = 1, optional: Sequence[str] = ()) -> None:
    """Refuses what is not a whole number of at least ``least``; of ``optional`` ones None is left to the bench.

    Raises:
        UsageError: The key and its value are named.
    """
    for name in [*names, *optional]:
        value = getattr(bench, name)
        if not (value is None and name in optional) and (
            not isinstance(value, int) or isinstance(value, bool) or value < least
        ):
            raise UsageError(f"bench.{name} is {value!r}, but must be a whole number of at least {least}")


def check_names(chosen: Sequence[str], known: Sequence[str], key: str = "bench.indexes") -> None:
    """Refuses unknown names, and none at all.

    Raises:
        UsageError: The first one is named with what there is.
    """
    unknown = [name for name in chosen if name not in known]
    if unknown or not chosen or isinstance(chosen, str):
        got = f"{unknown[0]!r} is unknown" if unknown and not isinstance(chosen, str) else f"it is {chosen!r}"
        raise UsageError(f"{key}: {got}; give a list out of {', '.join(known)}")


def check_ks(ks: Sequence[int], items: int) -> None:
    """Refuses what is not a list of cut-offs, or cut-offs beyond the number of items.

    Raises:
        UsageError: The cut-offs and the number of items are named.
    """
    is_list = isinstance(ks, Sequence) and all(isinstance(k, int) and not isinstance(k, bool) for k in ks)
    if not is_list or not ks or min(ks) < 1 or max(ks) > items:
        raise UsageError(
            f"bench.ks is {ks!r}, but must be a list of whole numbers from 1 to the {items} items; give more items or "
            "other ks, such as bench.ks=[1,10]"
        )


def check_code(bits: int, items: int, dim: int, key: str = "bench.bits") -> None:
    """Refuses a code length that ITQ cannot learn.

    Raises:
        UsageError: No multiple of 8, or more bits than items or dimensions.
    """
    check_bits(bits)
    if bits > min(items, dim):
        raise UsageError(
            f"{key} is {bits}, but {items} items of {dim} dimensions allow at most {min(items, dim)}; "
            "give fewer bits or more items"
        )
