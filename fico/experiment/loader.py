"""Batches of samples; a broken file is told by its own sentence, whichever process read it."""

from collections.abc import Iterator
from typing import Any

from torch.utils.data import DataLoader

from fico.errors import FicoError
from fico.loading.batches import Sample


class Loader(DataLoader[Sample]):
    """A `DataLoader` whose processes hand on the errors that a user can mend as they were raised.

    Differs:
        torch's own puts the traceback of the process into the message.
    """

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        """Give the batches.

        Raises:
            FicoError: As the data set raised it.
        """
        try:
            yield from super().__iter__()
        except FicoError as error:
            kind = type(error)
            sentence = str(error).rpartition(f"{kind.__module__}.{kind.__qualname__}: ")[2].strip()
            raise kind(sentence) from None
