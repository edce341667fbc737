"""Table 5 of the paper: encoding time, and what the results take."""

from collections.abc import Sequence

import numpy as np

from fico.report.paper.cost.encoding_times import EncodingTimes, measured_rows
from fico.report.paper.cost.growth import TimeOfSize
from fico.report.paper.cost.time_cells import (
    CAPTIONS,
    LARGEST,
    PAPER_NOTE,
    SIZES,
    error_cell,
    machine_notes,
    number_cell,
    time_cell,
)
from fico.report.paper.cost.timed import conditions, timed_groups
from fico.report.paper.published_metrics import ENCODING, ENCODING_REMARKS, FEATURES, STORAGE, paper_model
from fico.report.results.protocol import Protocol
from fico.report.results.schema import Results
from fico.report.results.seeds import Score, SeedGroup
from fico.report.table.table import NOTHING, Cell, Column, Row, Table, distinct, text_cells
from fico.util.units import bytes_text, count_text

LEADING = (Column("model", is_text=True), Column("bits"), Column("size", is_text=True), Column("seeds"))
_GLOBAL_VECTORS = (  # IMRAM's and SCAN's embeddings in the paper's table
    "paper: 45.75 GiB are one vector of 1,024 float64 numbers an item, which SCAN scores without; ours have none. Its "
    "vectors for attention are of float64 too."
)


def encoding_table(protocol: Protocol, runs: Sequence[Results], key: str) -> Table | None:
    """Table 5: encoding time and storage at the paper's four sizes, from seconds and bytes per item.

    Args:
        protocol: What the runs share.
        runs: Finished runs of that protocol, untrained ones too: training changes no time.
        key: Name of the data set in file names.

    Returns:
        None where no run measured its encoding.
    """
    found = [group for group in timed_groups(runs) if group.cost("encode_seconds") is not None]
    if not found:
        return None
    machines = list(dict.fromkeys(conditions(group.first) for group in found))
    names = [paper_model(group.first) or "" for group in found]
    energies = [_energy(group) for group in found]
    has_energy = any(energy is not None for energy in energies)
    columns = (
        *LEADING,
        Column("machine"),
        Column("items per second"),
        *(Column(size, "encoding") for size in SIZES),
        Column("error, %", "encoding"),
        *(Column(size, "embeddings") for size in SIZES),
        Column(LARGEST, "for attention"),
        Column("FLOPs an item"),
        Column("peak memory"),
        *([Column("J an item")] if has_energy else []),
    )
    rows: list[Row] = []
    for number, (group, name) in enumerate(zip(found, names, strict=True)):
        more = [number_cell(energies[number], ".3g")] if has_energy else []
        rows.append(_row(group, protocol, machines.index(conditions(group.first)) + 1, more))
        if name in ENCODING and name not in names[number + 1 :]:
            rows.append(_paper_row(name, len(columns)))
    notes = [*_notes(protocol, names, has_energy=has_energy), *machine_notes(machines)]
    return Table(
        f"table5-{key}", f"Table 5: encoding and storage, {protocol.description}", columns, tuple(rows), distinct(notes)
    )


def scores_pairs(run: Results) -> bool:
    """Whether attention reads the embeddings themselves: region and word vectors, with no first stage before."""
    is_cascade = "screen_seconds" in run.efficiency
    return run.model.query_time_attention and not _reranks(run) and not is_cascade


def _reranks(run: Results) -> bool:
    return bool((run.config.get("model") or {}).get("rerank"))


def _notes(protocol: Protocol, models: Sequence[str], *, has_energy: bool) -> list[str]:
    notes = [
        "Encoding is the forward passes alone: the median of repeats with the fastest and the slowest where they were "
        "timed; extracting and reading input features is not counted. Sizes of embeddings are computed from bytes an "
        "item.",
        "~ not measured: at the rate of the largest measured size, between two sizes on the line through both. error: "
        "the largest measured size as the rate of the size before it gives it, relative to its time.",
        "for attention: what attention at query time reads: of a re-ranking model the region and token vectors that it "
        "stores in addition to its embeddings, of one that scores all pairs its region and word vectors, which are all "
        "that it stores.",
        "After the size of codes: with a byte for each bit, as the paper stores them.",
        "FLOPs: of matrix products, convolutions and attention, mean of an image and its captions. Peak memory: of the "
        "test, of the GPU where one is used and after it of the process, else of the process, with what earlier jobs "
        "of a sweep left in it. The paper gives neither.",
    ]
    if has_energy:
        notes.append("J an item: energy of a pass over the largest size where it was read, divided by its items.")
    if abs(protocol.captions / protocol.images - CAPTIONS) > 0.05:
        notes.append(
            f"This data set has {protocol.captions / protocol.images:.2f} captions per image, the sizes have 5."
        )
    if any(name in ENCODING for name in models):
        notes.append(PAPER_NOTE)
        notes += [f"paper: {ENCODING_REMARKS[name]}." for name in models if name in ENCODING_REMARKS]
        notes += [_GLOBAL_VECTORS] if {"imram", "scan"} & set(models) else []
    return notes


def _row(group: SeedGroup, protocol: Protocol, machine: int, more: Sequence[Cell]) -> Row:
    first, items = group.first, protocol.images + protocol.captions
    stored, unpacked = (group.cost(name) for name in ("embedding_bytes", "unpacked_embedding_bytes"))
    attended = group.cost("feature_bytes") if _reranks(first) else None
    if scores_pairs(first):
        stored, unpacked, attended = None, None, stored
    factors = [size * (1 + CAPTIONS) / items for size in SIZES.values()]
    cells = [
        *text_cells(group.name, str(first.model.bits or NOTHING), first.model.size or NOTHING),
        *text_cells(", ".join(map(str, group.seeds)), str(machine)),
        *_time_cells(EncodingTimes.of(group.runs), items / protocol.images),
        *(_size(stored, unpacked, factor) for factor in factors),
        _size(attended, None, factors[-1]),
        _flops(group.cost("flops_per_item")),
        _memory(group),
    ]
    return Row((*cells, *more))


def _paper_row(name: str, width: int) -> Row:
    """The paper's numbers, those of times that did not finish by the same rule as ours."""
    seconds = zip(SIZES.values(), ENCODING[name], strict=True)
    times = EncodingTimes({images: TimeOfSize(known) for images, known in seconds if known is not None})
    cells = [*text_cells("paper", *[""] * 4), *_time_cells(times, 1 + CAPTIONS)]
    cells += [*[Cell(NOTHING)] * (len(SIZES) - 1), _gib(STORAGE[name]), _gib(FEATURES[name])]
    return Row((*cells, *[Cell(NOTHING)] * (width - len(cells))), "paper")


def _time_cells(times: EncodingTimes, items_per_image: float) -> list[Cell]:
    rate = number_cell(times.images_per_second * items_per_image, ",.0f")
    return [rate, *(time_cell(times.at(images)) for images in SIZES.values()), error_cell(times.error)]


def _energy(group: SeedGroup) -> float | None:
    """Joules of an item, of the largest size whose energy was read: mean over the seeds."""
    for rows in reversed(measured_rows(group.runs).values()):
        read = [row for row in rows if row.get("energy_joules") is not None]
        if read:
            return float(np.mean([row["energy_joules"] / (row["images"] + row["captions"]) for row in read]))
    return None


def _flops(found: Score | None) -> Cell:
    return Cell(NOTHING) if found is None else Cell(count_text(found.value), numbers={"": found.value})


def _memory(group: SeedGroup) -> Cell:
    """Of the GPU with that of the process after it; of a CPU of the process alone."""
    peak, process = group.cost("peak_memory_bytes"), group.cost("peak_process_memory_bytes")
    if peak is None:
        return Cell(NOTHING)
    note = "" if process is None else bytes_text(process.value)
    numbers = {"": peak.value} | ({} if process is None else {"process": process.value})
    return Cell(bytes_text(peak.value), note, numbers)


def _size(packed: Score | None, unpacked: Score | None, factor: float) -> Cell:
    if packed is None:
        return Cell(NOTHING)
    numbers = {"": packed.value * factor}
    if unpacked is None or unpacked.value == packed.value:
        return Cell(bytes_text(packed.value * factor), numbers=numbers)
    return Cell(bytes_text(packed.value * factor), bytes_text(unpacked.value * factor), numbers)


def _gib(size: float | None) -> Cell:
    return Cell(NOTHING) if size is None else Cell(f"{size:g} GiB", numbers={"": size * 2**30})
