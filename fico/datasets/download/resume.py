"""Downloads that go on where they were cut, as a downloader of pooch."""

import errno
import http.client
import json
import os
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from fico.errors import DataError
from fico.util.optional import requires_extra

CHUNK_BYTES = 2**20
_WEB_PAGE = (b"<!doctype html", b"<html", b"<?xml")
_TOTAL = re.compile(r"bytes (?:\*|(\d+)-\d+)/(\d+)")

OnProgress = Callable[[int, int | None], None]  # bytes so far, bytes in all


class _Cut(Exception):
    """The connection ended early, or the server is busy; worth another attempt."""


class _Restart(Exception):
    """What is there belongs to another version of the file."""


@dataclass(slots=True)
class ResumingDownload:
    """Writes a URL to a file, and after a cut or a kill goes on from the bytes that are there.

    They lie next to the target as ``<name>.part``, with ``<name>.part.json`` that says of which version of the file
    they are: by ``If-Range`` the server sends the rest only if its file is still the same one. A server that knows no
    ranges sends all again.

    Args:
        target: The wanted file.
        on_progress: Called with the bytes so far and in all, where the server says how many.
        attempts: Attempts in a row that bring nothing before giving up; one that brings bytes counts afresh.
        wait_seconds: Before the second attempt; twice as long before each further one.
        timeout_seconds: Of a connection that is silent.
        stop: Set from outside to end soon, keeping what is there.
    """

    target: Path
    on_progress: OnProgress = lambda got, size: None
    attempts: int = 5
    wait_seconds: float = 1.0
    timeout_seconds: float = 30.0
    stop: threading.Event = field(default_factory=threading.Event)

    def __call__(self, url: str, output_file: str | os.PathLike[str], pooch: Any = None) -> None:
        """Fetch the whole of a URL; the signature is pooch's.

        Raises:
            DataError: The server has no such file, sends a web page or more than it said, or cannot be reached;
                the disk is full; another process is fetching the same file.
        """
        self.target.parent.mkdir(parents=True, exist_ok=True)
        with self._part.open("ab") as file, _alone(file, self._part):
            self._fetch(url, file)
            file.flush()
            os.fsync(file.fileno())
        self._part.replace(output_file)
        self._state_path.unlink(missing_ok=True)

    @property
    def _part(self) -> Path:
        return self.target.with_name(f"{self.target.name}.part")

    @property
    def _state_path(self) -> Path:
        return self.target.with_name(f"{self.target.name}.part.json")

    def _fetch(self, url: str, file: BinaryIO) -> None:
        failures, wait = 0, self.wait_seconds
        while True:
            before = _size(file)
            try:
                self._request(url, file)
                return
            except _Restart:
                file.truncate(0)
                reason: object = "its file changes while it is fetched"
            except (_Cut, OSError, http.client.HTTPException) as error:
                reason = getattr(error, "reason", error)
            is_further = _size(file) > before
            failures, wait = (0, self.wait_seconds) if is_further else (failures + 1, wait)
            if failures >= self.attempts:
                raise DataError(
                    f"{url} cannot be fetched ({reason}); run the command again later, it goes on from the "
                    f"{_size(file):,} bytes that are there, or put the file to {self.target} by hand"
                )
            if not is_further and self.stop.wait(wait):
                raise KeyboardInterrupt
            wait *= 1 if is_further else 2

    def _request(self, url: str, file: BinaryIO) -> None:
        """One attempt, which appends what it gets."""
        start, state = _size(file), self._state(url)
        headers = {"User-Agent": "fico", "Accept-Encoding": "identity"}
        if start and state:
            headers |= {"Range": f"bytes={start}-"} | ({"If-Range": state["version"]} if state["version"] else {})
        elif start:
            file.truncate(0)
            start = 0
        try:
            answer = urllib.request.urlopen(  # noqa: S310 - the addresses are ours or the user's own
                urllib.request.Request(url, headers=headers), timeout=self.timeout_seconds
            )
        except urllib.error.HTTPError as error:
            if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and start:
                self._whole_already(error.headers.get("Content-Range"), start)
                return
            if error.code < 500 and error.code not in (408, 429):
                raise DataError(
                    f"{url} answers {error.code} {error.reason}; look for the file on the data set's own page and put "
                    f"it to {self.target} by hand"
                ) from None
            raise _Cut(f"{error.code} {error.reason}") from None
        with answer:
            size = self._expected(answer, file, start, state)
            self._copy(url, answer, file, size)

    def _whole_already(self, content_range: str | None, start: int) -> None:
        """The server has nothing after our last byte: correct only if that is the whole file."""
        match = _TOTAL.search(content_range or "")
        if match is None or int(match[2]) != start:
            raise _Restart

    def _expected(self, answer: Any, file: BinaryIO, start: int, state: dict[str, Any] | None) -> int | None:
        """Size of the whole file, from the header; the file is emptied where the server starts from the front."""
        headers = answer.headers
        if answer.status == http.HTTPStatus.PARTIAL_CONTENT:
            match = _TOTAL.search(headers.get("Content-Range", ""))
            if match is None or int(match[1] or -1) != start or (state and state["size"] not in (None, int(match[2]))):
                raise _Restart
            return int(match[2])
        file.truncate(0)
        length = headers.get("Content-Length")
        size = None if length is None else int(length)
        tag = headers.get("ETag") or "W/"  # a weak one does not vouch for single bytes
        version = headers.get("Last-Modified") or "" if tag.startswith("W/") else tag
        self._state_path.write_text(json.dumps({"url": answer.url, "size": size, "version": version}), encoding="utf-8")
        return size

    def _state(self, url: str) -> dict[str, Any] | None:
        try:
            state: dict[str, Any] = json.loads(self._state_path.read_text(encoding="utf-8"))
            return state if {"size", "version"} <= state.keys() else None
        except (OSError, ValueError, AttributeError):
            return None

    def _copy(self, url: str, answer: Any, file: BinaryIO, size: int | None) -> None:
        got = _size(file)
        while chunk := answer.read1(CHUNK_BYTES):  # what has come, so that a kill loses little
            if got == 0 and chunk.lstrip()[:16].lower().startswith(_WEB_PAGE):
                raise DataError(
                    f"{url} sends a web page in place of {self.target.name}; fetch the file with a browser and put "
                    f"it to {self.target}"
                )
            _write(file, chunk, self.target)
            got += len(chunk)
            self.on_progress(got, size)
            if self.stop.is_set():
                raise KeyboardInterrupt
        if size is not None and got < size:
            raise _Cut(f"the connection ended after {got:,} of {size:,} bytes")
        if size is not None and got > size:
            file.truncate(0)
            raise DataError(f"{url} sends {got:,} bytes and said {size:,}; run the command again")


def remote_size(url: str, timeout_seconds: float = 10.0) -> int | None:
    """Size of a file by the server's header; None where it does not say."""
    request = urllib.request.Request(url, method="HEAD", headers={"User-Agent": "fico"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=timeout_seconds) as answer:  # noqa: S310
            length = answer.headers.get("Content-Length")
            return None if length is None else int(length)
    except (OSError, ValueError, http.client.HTTPException):
        return None


def fetch(url: str, target: Path, known_hash: str | None, download: ResumingDownload) -> Path:
    """Fetch a file with pooch, unless it is there already with the expected checksum.

    Args:
        url: Where it is.
        target: Where it shall lie; it appears there whole or not at all.
        known_hash: ``md5:...`` or ``sha256:...``; None takes what comes.
        download: Of the same target.

    Raises:
        DataError: As for `ResumingDownload`, or the checksum differs, in which case nothing is kept.
    """
    with requires_extra("data"):
        import pooch

    pooch.get_logger().setLevel("WARNING")
    try:
        pooch.retrieve(url, known_hash, fname=target.name, path=target.parent, downloader=download)
    except ValueError as error:
        raise DataError(
            f"{url} has another checksum than published ({known_hash}); nothing of it was kept: run the command again, "
            f"and if it stays so, put the published file at {target} by hand"
        ) from error
    return target


def _write(file: BinaryIO, chunk: bytes, target: Path) -> None:
    try:
        file.write(chunk)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DataError(
                f"the disk of {target} is full; free some space and run the command again, which resumes the download"
            ) from error
        raise DataError(f"{target}.part cannot be written: {error.strerror}") from error


def _size(file: BinaryIO) -> int:
    file.flush()
    return os.fstat(file.fileno()).st_size


@contextmanager
def _alone(file: BinaryIO, path: Path) -> Iterator[None]:
    """Hold a lock that ends with the process, however it ends."""
    try:
        import fcntl
    except ImportError:  # Windows has other locks; two downloads at once are then the user's to avoid
        yield
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise DataError(f"another process is fetching {path.stem} already; wait for it to end") from error
    yield
