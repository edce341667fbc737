"""Figure 4: recall of the indexes, and their time against their size, from a fresh Table 7 or finished ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fico.bench.outcome import Outcome, Report
from fico.bench.table7.figure4_drawing import draw
from fico.bench.table7.table7 import Table7
from fico.bench.table7.tables import cpu_table
from fico.errors import UsageError
from fico.report.results.schema import Results, read_results


@dataclass(frozen=True, slots=True)
class Figure4(Table7):
    """Table 7 as a figure; of finished runs nothing is measured again, and the other values have no effect.

    Args:
        results: Folders of runs of Table 7, of one size or several. Empty: measure as ``Table7`` says.
    """

    results: Sequence[str | Path] = ()

    def predicted(self) -> dict[str, tuple[float, float]]:
        """Seconds and bytes; nothing where finished runs are drawn."""
        return {} if self.results else Table7.predicted(self)

    def check(self) -> None:
        """Refuses what ``Table7`` refuses, or folders without the rows of Table 7.

        Raises:
            UsageError: As ``Table7.check``; a folder holds another kind of run; ``results`` is not a list.
            DataError: A folder holds no finished run.
        """
        if isinstance(self.results, str):
            raise UsageError(f"bench.results is {self.results!r}; give a list, as bench.results=[FOLDER,FOLDER]")
        if not self.results:
            Table7.check(self)
        for folder in self.results:
            _rows(Path(folder))

    def run(self, report: Report) -> Outcome:
        """Measures or reads, and draws.

        Raises:
            UsageError: As ``check``.
            DataError: As ``check``.
        """
        outcome = self._read() if self.results else Table7.run(self, report)
        return Outcome(outcome.rows, outcome.tables, {"figure4": draw(outcome.rows)}, outcome.details, outcome.notes)

    def _read(self) -> Outcome:
        rows, tables, machines = [], [], set()
        for folder in self.results:
            found, run = _rows(Path(folder))
            first = found[0]
            ks = sorted(first["top1_in_k"])
            tables.append(cpu_table(found, first["all_queries"], first["items"], ks, first["threads"]))
            rows += found
            machines.add(str(run.hardware.get("cpu")))
        note = "Read from finished runs" + (f" of {len(machines)} kinds of machines" if len(machines) > 1 else "") + "."
        return Outcome(rows, tuple(tables), notes=(note,))


def _rows(folder: Path) -> tuple[list[dict[str, Any]], Results]:
    results = read_results(folder)
    rows: list[dict[str, Any]] = results.as_json()["search"]
    if not rows or any("all_queries" not in row for row in rows):
        raise UsageError(f"{folder} holds no rows of Table 7; give folders that experiment=table7 wrote")
    return rows, results
