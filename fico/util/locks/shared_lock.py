"""A lock that many readers hold together and one writer holds alone."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class SharedLock:
    """Readers run side by side; a change waits until they are done, and holds back those that come later.

    One thread may nest changes; a change within a read of the same thread would wait for itself. A copy, or what a
    pickle brings to another process, is a lock of its own that nobody holds.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._readers = self._changes = 0

    @contextmanager
    def reading(self, prepare: Callable[[], object] | None = None) -> Iterator[None]:
        """Held together with other readers.

        Args:
            prepare: Called before anybody else may begin to read or to change; it may finish what a change left to
                be done, which only the first reader after it finds to do.
        """
        with self._condition:
            self._condition.wait_for(lambda: not self._changes)
            if prepare is not None:
                prepare()
            self._readers += 1
        try:
            yield
        finally:
            with self._condition:
                self._readers -= 1
                self._condition.notify_all()

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Held alone."""
        with self._condition:
            self._changes += 1
            try:
                self._condition.wait_for(lambda: not self._readers)
                yield
            finally:
                self._changes -= 1
                self._condition.notify_all()

    def __reduce__(self) -> tuple[type["SharedLock"], tuple[()]]:
        return SharedLock, ()
