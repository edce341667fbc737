"""Inputs of `fuzz.py` in child processes, so that an input that ends or hangs the interpreter is a finding too."""

import json
import os
import selectors
import signal
from collections.abc import Callable, Iterator

Outcome = tuple[int, str, tuple[str, str] | None]  # number of the input, its kind, what was wrong with it
Try = Callable[[int], Outcome]
LONGEST_SECONDS = 600.0  # of one input, on a busy machine; the first of a batch also imports torch and makes the files


def outcomes(prepare: Callable[[], Try], kind_of: Callable[[int], str], inputs: int, batch: int) -> Iterator[Outcome]:
    """Try inputs by number in forks of ``batch`` inputs.

    Args:
        prepare: Runs in each fork and gives the function that tries an input.
        kind_of: Kind of an input that ended its process.
    """
    number = 0
    while number < inputs:
        process, results = _start(prepare, range(number, min(number + batch, inputs)))
        try:
            for outcome in results:
                yield outcome
                number += 1
        except GeneratorExit:
            os.kill(process, signal.SIGKILL)
            raise
        finally:
            _, status = os.waitpid(process, 0)
        if code := os.waitstatus_to_exitcode(status):
            how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            yield number, kind_of(number), ("crash", f"the process ended with {how}")
            number += 1


def _start(prepare: Callable[[], Try], numbers: range) -> tuple[int, Iterator[Outcome]]:
    read_end, write_end = os.pipe()
    process = os.fork()
    if process:
        os.close(write_end)
        return process, _received(process, read_end)
    os.close(read_end)
    code = 70
    try:
        one = prepare()
        with os.fdopen(write_end, "w") as pipe:
            for number in numbers:
                pipe.write(json.dumps(one(number)) + "\n")
                pipe.flush()
        code = 0
    finally:
        os._exit(code)


def _received(process: int, read_end: int) -> Iterator[Outcome]:
    """One outcome a line until the fork ends; it is killed where an input takes too long."""
    with os.fdopen(read_end, "rb", buffering=0) as pipe, selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        rest = b""
        while True:
            if not selector.select(LONGEST_SECONDS):
                os.kill(process, signal.SIGKILL)
                return
            part = pipe.read(65536)
            if not part:
                return
            *lines, rest = (rest + part).split(b"\n")
            for line in lines:
                number, kind, fault = json.loads(line)
                yield number, kind, (fault[0], fault[1]) if fault else None
