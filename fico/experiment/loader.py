"""A data loader whose workers raise the original error of an unreadable file."""

from collections.abc import Iterator
from typing import Any

from torch.utils.data import DataLoader

from fico.errors import FicoError
from fico.loading.batches import PairSample


class Loader(DataLoader[PairSample]):
    """A `DataLoader` that raises the errors a user can fix as its workers raised them.

    Differs:
        torch's own puts the worker's traceback into the message.
    """

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        """Iterate over the batches.

        Raises:
            FicoError: As the data set raised it.
        """
        try:
            yield from super().__iter__()
        except FicoError as error:
            kind = type(error)
            sentence = str(error).rpartition(f"{kind.__module__}.{kind.__qualname__}: ")[2].strip()
            raise kind(sentence) from None
