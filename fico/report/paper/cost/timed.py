"""Which runs' times may stand in one cell: the same data, setting, machine and precision."""

from collections.abc import Sequence
from dataclasses import replace

from fico.report.results.runs import machine
from fico.report.results.schema import Results
from fico.report.results.seeds import SeedGroup, group_seeds


def timed_groups(runs: Sequence[Results]) -> list[SeedGroup]:
    """Runs that differ by their seed alone and were measured under the same conditions, models in the paper's order."""
    by_data: dict[tuple[str | int, ...], list[Results]] = {}
    for run in runs:
        data = run.data
        by_data.setdefault((data.name, data.split, data.images, data.captions, data.fingerprint), []).append(run)
    found: list[SeedGroup] = []
    for alike in by_data.values():
        for group in group_seeds(alike):
            measured: dict[str, list[Results]] = {}
            for run in group.runs:
                measured.setdefault(conditions(run), []).append(run)
            found += [replace(group, runs=tuple(own)) for own in measured.values()]
    models = list(dict.fromkeys(group.first.model.name for group in group_seeds(runs)))
    return sorted(found, key=lambda group: models.index(group.first.model.name))


def conditions(run: Results) -> str:
    """Machine and precision of a run's times."""
    on_cpu = (run.config.get("trainer") or {}).get("accelerator") == "cpu"
    hardware = {key: value for key, value in run.hardware.items() if not (on_cpu and key == "gpu")}
    return f"{machine(replace(run, hardware=hardware))}, {precision(run)}"


def precision(run: Results) -> str:
    """What the network of a test computes with: ``model.precision``, else that of the trainer."""
    model, trainer, speed = (run.config.get(node) or {} for node in ("model", "trainer", "throughput"))
    found = str(model.get("precision") or trainer.get("precision") or "32-true")
    products = speed.get("matmul_precision") or "highest"
    name = {"32-true": "float32", "32": "float32"}.get(found, found)
    return name if products == "highest" else f"{name}, matmul_precision={products}"


def series(group: SeedGroup) -> tuple[str, ...]:
    """What groups share whose times grow with the size of the data alone."""
    first = group.first
    return group.name, first.model.size or "", first.data.name, first.data.split, conditions(first)
