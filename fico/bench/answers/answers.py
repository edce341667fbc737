"""The command that plays random cases on every index."""

import argparse
import sys
import time
from collections.abc import Sequence

from fico.bench.answers.cases import Case
from fico.bench.answers.indexes import INDEXES


def main(arguments: Sequence[str] | None = None) -> None:
    """Plays cases and prints those that differ from brute force, and a line for each index.

    Args:
        arguments: Of the command line. None: those of the process.

    Raises:
        SystemExit: 1 where a case differs.
    """
    parser = argparse.ArgumentParser("python -m fico.bench.answers", description=__doc__)
    parser.add_argument("--cases", type=int, default=1000, help="how many, over all indexes in turn")
    parser.add_argument("--first", type=int, default=0, help="seed of the first")
    given = parser.parse_args(arguments)
    names, differing, started = list(INDEXES), dict.fromkeys(INDEXES, 0), time.process_time()
    for seed in range(given.first, given.first + given.cases):
        name = names[(seed - given.first) % len(names)]
        texts = Case(seed, name).differences()
        differing[name] += bool(texts)
        sys.stdout.writelines(f"{text}\n" for text in texts[:1])
    for name, count in differing.items():
        cases = len(range(names.index(name), given.cases, len(names)))
        sys.stdout.write(f"{name}: {count} of {cases} cases differ\n")
    seconds, wrong = time.process_time() - started, sum(differing.values())
    sys.stdout.write(f"{wrong} of {given.cases} cases differ, {seconds:.0f} s of CPU time\n")
    if wrong:
        raise SystemExit(1)
