"""Damages files of every kind that the project writes and reads them again: refused, harmless, or silently wrong.

    python tests/corruption_loop.py --damages 40 --seed 0 [--only NAME ...] [--folder DIR]

A damage flips bits, cuts the file, zeroes a part, exchanges two parts, or appends bytes. It is refused where the reader
raises an error of the project; harmless where the reader gets what was written, perhaps because the file was made
again. Everything else is a fault: another value, or a traceback.
"""

import argparse
import os
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from corruption_kinds import EXAMPLES, KINDS, Kind  # noqa: E402

from fico.errors import FicoError  # noqa: E402

OUTCOMES = ("refused", "harmless", "silent", "traceback")
Damage = Callable[[bytearray, random.Random], bytes]


def flip(content: bytearray, chance: random.Random) -> bytes:
    """One to forty bits."""
    for _ in range(chance.choice((1, 2, 40))):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    return bytes(content)


def truncate(content: bytearray, chance: random.Random) -> bytes:
    """The end is missing."""
    return bytes(content[: chance.randrange(len(content))])


def zero(content: bytearray, chance: random.Random) -> bytes:
    """A part, as after a loss of power."""
    start, stop = sorted(chance.randrange(len(content) + 1) for _ in range(2))
    content[start:stop] = bytes(stop - start)
    return bytes(content)


def swap(content: bytearray, chance: random.Random) -> bytes:
    """Two parts of one length."""
    length = chance.randint(1, max(1, len(content) // 4))
    first = chance.randrange(max(1, len(content) - 2 * length))
    second = chance.randrange(first + length, max(first + length + 1, len(content) - length + 1))
    one, two = content[first : first + length], content[second : second + length]
    content[first : first + length], content[second : second + length] = two, one
    return bytes(content)


def append(content: bytearray, chance: random.Random) -> bytes:
    """Bytes of chance, zeros, or the file's own."""
    more = chance.choice((chance.randbytes(9), bytes(9), bytes(content)))
    return bytes(content) + more


DAMAGES: tuple[Damage, ...] = (flip, truncate, zero, swap, append)


def changed(content: bytes, damage: Damage, chance: random.Random) -> bytes:
    """The content with a damage that shows; a part of zeros, say, cannot be zeroed, and a bit is flipped instead."""
    for _ in range(20):
        if (found := damage(bytearray(content), chance)) != content:
            return found
    return flip(bytearray(content), random.Random(0))


class Corruptions:
    """The loop.

    Args:
        folder: Where examples are made and damaged; two folders are made in it.
        seed: Of the damages.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self._work, self._kept, self._seed = folder / "work", folder / "kept", seed
        self.faults: list[str] = []

    def example(self, name: str) -> Path:
        """A fresh copy of an example, always in the same place; made when first asked for."""
        os.environ["FICO_CACHE_DIR"] = str(self._work)
        kept = self._kept / name
        if not kept.exists():
            shutil.rmtree(self._work, ignore_errors=True)
            self._work.mkdir(parents=True)
            EXAMPLES[name](self._work)
            shutil.copytree(self._work, kept)
        shutil.rmtree(self._work, ignore_errors=True)
        return shutil.copytree(kept, self._work)

    def damaged(self, kind: Kind, damages: int) -> Counter[str]:
        """Outcomes of one kind."""
        wanted = plain(kind.read(self.example(kind.example)))
        counts: Counter[str] = Counter()
        for number in range(damages):
            damage, chance = DAMAGES[number % len(DAMAGES)], random.Random(f"{self._seed} {kind.name} {number}")
            path = min(self.example(kind.example).glob(kind.file))
            path.write_bytes(changed(path.read_bytes(), damage, chance))
            outcome = self._read(kind, wanted)
            counts[outcome.split(" ")[0]] += 1
            if outcome.split(" ")[0] in ("silent", "traceback"):
                self.faults.append(f"{kind.name}, damage {number} ({damage.__name__}): {outcome}")
        return counts

    def _read(self, kind: Kind, wanted: object) -> str:
        try:
            return "harmless" if plain(kind.read(self._work)) == wanted else "silent"
        except FicoError:
            return "refused"
        except Exception as error:  # a fault of ours
            return f"traceback {type(error).__name__}: {error}"


def plain(value: object) -> object:
    """A value whose arrays compare by their bytes."""
    if isinstance(value, torch.Tensor):
        value = value.numpy()
    if isinstance(value, np.ndarray):
        return str(value.dtype), value.shape, value.tobytes()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def main() -> int:
    """Print a line for each kind, and what went wrong; 1 if anything did."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--damages", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME", help="part of a kind's name")
    parser.add_argument("--folder", type=Path, help="where to work; default: a temporary folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        loop, total = Corruptions(options.folder or Path(temporary), options.seed), Counter()
        for kind in KINDS:
            if not options.only or any(part in kind.name for part in options.only):
                counts = loop.damaged(kind, options.damages)
                total += counts
                _say(kind.name, counts)
        _say("all", total)
    sys.stdout.writelines(f"{fault}\n" for fault in loop.faults)
    return 1 if loop.faults else 0


def _say(name: str, counts: Counter[str]) -> None:
    sys.stdout.write(f"{name}: {', '.join(f'{counts[outcome]} {outcome}' for outcome in OUTCOMES)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
