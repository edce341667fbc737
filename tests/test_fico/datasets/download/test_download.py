"""Downloads from a server on the loopback address that misbehaves in every known way."""

import hashlib
import io
import os
import re
import signal
import subprocess
import sys
import threading
import zipfile
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from fico.datasets.download.resume import ResumingDownload, fetch, remote_size
from fico.errors import DataError

CONTENT = np.random.default_rng(0).integers(0, 256, 300_000, dtype=np.uint8).tobytes()
MD5 = f"md5:{hashlib.md5(CONTENT).hexdigest()}"  # noqa: S324


class Server(ThreadingHTTPServer):
    """Serves `content` and misbehaves as it is told; remembers the ranges it was asked for."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.tag = '"one"'
        self.status = 200
        self.knows_ranges = True
        self.says_length = True
        self.cuts = []  # bytes after which each of the next connections is cut
        self.hold = None  # after so many bytes wait until `go`
        self.go = threading.Event()
        self.is_held = threading.Event()
        self.ranges = []
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def url(self, name="file.bin"):
        return f"http://127.0.0.1:{self.server_port}/{name}"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def do_HEAD(self):
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.content)))
        self.end_headers()

    def do_GET(self):
        server, asked = self.server, self.headers.get("Range")
        server.ranges.append(asked)
        if server.status != 200:
            self.send_error(server.status)
            return
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked else 0
        if not server.knows_ranges or self.headers.get("If-Range", server.tag) != server.tag:
            start = 0
        if start and start >= len(server.content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(server.content)}")
            self.end_headers()
            return
        body = server.content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}")
        if server.says_length:
            self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", server.tag)
        self.end_headers()
        if server.cuts:
            body = body[: server.cuts.pop(0)]
        if server.hold is not None:
            self.wfile.write(body[: server.hold])
            self.wfile.flush()
            server.is_held.set()
            server.go.wait(30)
            body = body[server.hold :]
        with suppress(OSError):  # the other end was killed
            self.wfile.write(body)
        self.close_connection = True


def zip_of(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.fixture
def server():
    made = Server()
    yield made
    made.go.set()
    made.shutdown()
    made.server_close()


def download(target, **options):
    return ResumingDownload(target, wait_seconds=0, timeout_seconds=10, **options)


def got(server, target, known_hash=MD5, **options):
    return fetch(server.url(), target, known_hash, download(target, **options)).read_bytes()


def test_a_file_is_fetched_whole_and_nothing_else_is_left(server, tmp_path):
    steps = []
    assert got(server, tmp_path / "f", on_progress=lambda so_far, size: steps.append((so_far, size))) == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["f"]
    assert steps[-1] == (len(CONTENT), len(CONTENT))
    assert remote_size(server.url()) == len(CONTENT)


def test_a_file_that_is_there_is_not_fetched_again(server, tmp_path):
    got(server, tmp_path / "f")
    assert got(server, tmp_path / "f") == CONTENT
    assert len(server.ranges) == 1


def test_a_connection_that_is_cut_goes_on_where_it_was(server, tmp_path):
    server.cuts = [100_000, 50_000, 0, 30_000]
    assert got(server, tmp_path / "f") == CONTENT
    assert server.ranges == [None, "bytes=100000-", "bytes=150000-", "bytes=150000-", "bytes=180000-"]


def test_a_server_without_ranges_starts_afresh_and_the_file_is_right(server, tmp_path):
    server.cuts, server.knows_ranges = [100_000], False
    assert got(server, tmp_path / "f") == CONTENT


def test_a_file_that_changed_meanwhile_is_fetched_from_the_front(server, tmp_path):
    server.cuts = [100_000]
    sizes = []

    def change(so_far, size):
        if not sizes:
            server.content, server.tag = CONTENT[::-1], '"two"'
        sizes.append(so_far)

    assert got(server, tmp_path / "f", known_hash=None, on_progress=change) == CONTENT[::-1]


def test_a_server_that_says_no_length_is_believed(server, tmp_path):
    server.says_length = False
    assert got(server, tmp_path / "f") == CONTENT


def test_wrong_bytes_are_not_kept_and_the_next_try_gets_the_right_ones(server, tmp_path):
    server.content = CONTENT[:-1] + b"?"
    with pytest.raises(DataError, match="another checksum than published") as caught:
        got(server, tmp_path / "f")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    server.content = CONTENT
    assert got(server, tmp_path / "f") == CONTENT


@pytest.mark.parametrize("page", [b"<!DOCTYPE html><html>Sorry", b"\n <html><body>Log in"])
def test_a_web_page_is_no_file(server, tmp_path, page):
    server.content = page
    with pytest.raises(DataError, match="sends a web page in place of f"):
        got(server, tmp_path / "f", known_hash=None)
    assert not (tmp_path / "f").exists()


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_missing_file_says_what_to_do_and_is_not_asked_for_again(server, tmp_path, status):
    server.status = status
    with pytest.raises(DataError, match=rf"answers {status} .* put it to .* by hand"):
        got(server, tmp_path / "f")
    assert len(server.ranges) == 1


def test_a_busy_server_is_asked_again_and_then_given_up(server, tmp_path):
    server.status = 503
    with pytest.raises(DataError, match="cannot be fetched .*503"):
        got(server, tmp_path / "f", attempts=3)
    assert len(server.ranges) == 3


def test_no_network_is_one_sentence(tmp_path):
    with pytest.raises(DataError, match="cannot be fetched") as caught:
        fetch("http://127.0.0.1:9/f", tmp_path / "f", None, download(tmp_path / "f", attempts=2))
    assert "\n" not in str(caught.value)


def test_what_a_give_up_leaves_is_where_the_next_run_goes_on(server, tmp_path):
    server.cuts = [200_000, 0, 0]
    with pytest.raises(DataError, match="goes on from the 200,000 bytes"):
        got(server, tmp_path / "f", attempts=2)
    assert got(server, tmp_path / "f") == CONTENT
    assert server.ranges[-1] == "bytes=200000-"


def test_bytes_of_unknown_origin_are_not_built_upon(server, tmp_path):
    (tmp_path / "f.part").write_bytes(b"something else")
    assert got(server, tmp_path / "f") == CONTENT
    assert server.ranges == [None]


def test_a_part_that_is_whole_already_is_taken(server, tmp_path):
    (tmp_path / "f.part").write_bytes(CONTENT)
    (tmp_path / "f.part.json").write_text('{"url": "", "size": 300000, "version": "\\"one\\""}')
    assert got(server, tmp_path / "f") == CONTENT
    assert server.ranges == ["bytes=300000-"]


def run_in_another_process(server, target):
    code = (
        "import sys; from pathlib import Path; from fico.datasets.download.resume import ResumingDownload, fetch\n"
        "fetch(sys.argv[1], Path(sys.argv[2]), sys.argv[3], ResumingDownload(Path(sys.argv[2])))"
    )
    return subprocess.Popen([sys.executable, "-c", code, server.url(), str(target), MD5])


def test_a_killed_download_goes_on_and_two_at_once_are_refused(server, tmp_path):
    target = tmp_path / "deep" / "f"
    server.hold = 120_000
    process = run_in_another_process(server, target)
    part = target.with_name("f.part")
    try:
        assert server.is_held.wait(60)
        while not (part.exists() and part.stat().st_size):  # until the other process has written something
            assert process.poll() is None
            threading.Event().wait(0.01)
        with pytest.raises(DataError, match="another process is fetching f already"):
            got(server, target)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    there = part.stat().st_size
    server.hold = None
    assert not target.exists()
    assert 0 < there < len(CONTENT)
    assert got(server, target) == CONTENT
    assert server.ranges == [None, f"bytes={there}-"]


def test_an_interrupted_command_ends_with_130_and_goes_on(server, tmp_path):
    server.content = zip_of({"dataset_flickr8k.json": "{}"})
    server.hold = 40
    command = [str(Path(sys.executable).with_name("fico")), "prepare", "flickr8k", "--root", str(tmp_path)]
    process = subprocess.Popen(
        [*command, "--mirror", server.url("")], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert server.is_held.wait(60)
    process.send_signal(signal.SIGINT)
    threading.Event().wait(1)  # the command hears of it before it hears of the rest of the file
    server.go.set()
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    server.hold = None
    done = subprocess.run([*command, "--mirror", server.url("")], capture_output=True, text=True, timeout=60)
    assert "dataset_flickr8k.json is not of Karpathy" in done.stderr, "it is fetched and unpacked"
    assert done.returncode == 1


def test_a_full_disk_is_one_sentence_and_what_was_written_stays(server, tmp_path, monkeypatch):
    def full(file, chunk):
        raise OSError(28, "No space left on device")

    class File:
        write = full

    from fico.datasets.download import resume as module

    with pytest.raises(DataError, match=r"the disk of .*f is full; free some space"):
        module._write(File(), b"x", tmp_path / "f")
