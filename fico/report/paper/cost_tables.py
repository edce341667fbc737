"""Tables 5 and 6 of the paper: encoding time, storage and attention at query time."""

import math
from collections.abc import Mapping, Sequence

from fico.report.paper.encoding_times import EncodingTimes, TimeOfSize
from fico.report.paper.published_metrics import ATTENTION, ENCODING, FEATURES, STORAGE, paper_model
from fico.report.results.protocol import Protocol
from fico.report.results.runs import machine
from fico.report.results.schema import Results
from fico.report.results.seeds import Score, SeedGroup, group_seeds
from fico.report.table.table import NOTHING, Cell, Column, Row, Table, distinct, text_cells
from fico.util.units import bytes_text, count_text, seconds_text

SIZES = {"1K / 5K": 1_000, "10K / 50K": 10_000, "100K / 500K": 100_000, "1M / 5M": 1_000_000}
LARGEST = "1M / 5M"
PAPER_SOURCE = "FiCo-ITR, arXiv 2407.20114, on its authors' machine"
CAPTIONS = 5  # per image, in the paper's sizes
LEADING = (Column("model", is_text=True), Column("bits"), Column("size", is_text=True), Column("seeds"))


def encoding_table(protocol: Protocol, runs: Sequence[Results], key: str) -> Table | None:
    """Table 5: encoding time and storage at the paper's four sizes, from seconds and bytes per item.

    Args:
        protocol: What the runs share.
        runs: Finished runs of that protocol, untrained ones too: training changes no time.
        key: Name of the data set in file names.

    Returns:
        None where no run measured its encoding.
    """
    found = [group for group in group_seeds(runs) if group.cost("encode_seconds") is not None]
    if not found:
        return None
    times = {group.label: EncodingTimes.of(group.runs) for group in found}
    machines = list(dict.fromkeys(machine(run) for group in found for run in group.runs))
    columns = (
        *LEADING,
        Column("machine"),
        Column("items per second"),
        *(Column(size, "encoding") for size in SIZES),
        *(Column(size, "embeddings") for size in SIZES),
        Column(LARGEST, "for attention"),
        Column("FLOPs an item"),
        Column("peak memory"),
    )
    rows: list[Row] = []
    for group in found:
        rows += _encoding_rows(group, protocol, machines, times[group.label])
    notes = [
        "Encoding is the forward passes alone: the median of repeats with the fastest and the slowest where they were "
        "timed; extracting and reading input features is not counted. Sizes of embeddings are computed from bytes an "
        "item.",
        *_fit_notes(times),
        "for attention: region and token vectors that a re-ranking model stores in addition to its embeddings.",
        "After the size of codes: with a byte for each bit, as the paper stores them.",
        "FLOPs: of matrix products, convolutions and attention, mean of an image and its captions. Peak memory: of the "
        "test, of the GPU where one is used and after it of the process, else of the process, with what earlier jobs "
        "of a sweep left in it. The paper gives neither.",
        *(f"Machine {number}: {name}." for number, name in enumerate(machines, start=1)),
    ]
    if len(machines) > 1:
        notes.append("Times of different machines must not be compared.")
    if abs(protocol.captions / protocol.images - CAPTIONS) > 0.05:
        notes.append(
            f"This data set has {protocol.captions / protocol.images:.2f} captions per image, the sizes have 5."
        )
    if any(row.kind == "paper" for row in rows):
        notes.append(
            f"paper: {PAPER_SOURCE}; – did not finish there, or is not given: storage is for the largest size only."
        )
    return Table(
        f"table5-{key}", f"Table 5: encoding and storage, {protocol.description}", columns, tuple(rows), distinct(notes)
    )


def attention_table(runs: Sequence[Results]) -> Table | None:
    """Table 6: seconds of attention at query time on each set of queries, and how they grow with it.

    Args:
        runs: Finished runs on any data.

    Returns:
        None where no run has a model with attention at query time.
    """
    attending = [run for run in runs if run.model.query_time_attention and run.efficiency.get("attention_seconds")]
    if not attending:
        return None
    rows = [row for name in dict.fromkeys(_model(run) for run in attending) for row in _attention_rows(name, attending)]
    columns = (
        Column("model", is_text=True),
        Column("size", is_text=True),
        Column("data", is_text=True),
        *(Column(name) for name in ("images", "captions", "attention", "µs per pair", "ms per query", "exponent")),
    )
    without = sorted({run.model.name for run in runs if not run.model.query_time_attention and run.metrics})
    machines = sorted({machine(run) for run in attending})
    notes = (
        "Wall clock of scoring the whole query set, both directions; seeds are averaged. µs per pair is per cell of "
        "the score matrix, also where a model re-ranks the first candidates alone; ms per query per image or caption.",
        "exponent: slope of log seconds over log images, 2 where cost grows with the square; it needs two sizes.",
        f"No attention at query time: {', '.join(without)}." if without else "",
        f"Measured on {'; '.join(machines)}.",
        "Times of different machines must not be compared." if len(machines) > 1 else "",
        f"paper: {PAPER_SOURCE}; a re-ranker scores 128 candidates." if any(r.kind == "paper" for r in rows) else "",
    )
    return Table("table6", "Table 6: attention at query time", columns, tuple(rows), distinct(notes))


def _fit_notes(times: Mapping[str, EncodingTimes]) -> list[str]:
    """How the sizes that were not measured are computed, and how well the line fits those that were."""
    wanted = [name for name, found in times.items() if not set(SIZES.values()) <= set(found.measured)]
    if not wanted:
        return []
    sizes = sorted({images for name in wanted for images in times[name].measured})
    errors = [f"{name} {100 * error:.1f} %" for name in wanted if (error := times[name].error) is not None]
    measured = ", ".join(f"{images:,}" for images in sizes)
    fitted = f"~ not measured: start + images x seconds an image, fitted to the measured sizes ({measured} images)"
    return [fitted + (f"; largest difference of one from its line: {', '.join(errors)}." if errors else ", from zero.")]


def _encoding_rows(group: SeedGroup, protocol: Protocol, machines: Sequence[str], encoding: EncodingTimes) -> list[Row]:
    first, items = group.first, protocol.images + protocol.captions
    packed, unpacked = (group.cost(name) for name in ("embedding_bytes", "unpacked_embedding_bytes"))
    numbers = sorted({machines.index(machine(run)) + 1 for run in group.runs})
    rate = encoding.images_per_second * items / protocol.images
    cells = [
        *text_cells(group.name, str(first.model.bits or NOTHING), first.model.size or NOTHING),
        *text_cells(", ".join(map(str, group.seeds)), ", ".join(map(str, numbers))),
        Cell(f"{rate:,.0f}", numbers={"": rate}),
    ]
    factors = [size * (1 + CAPTIONS) / items for size in SIZES.values()]
    features = group.cost("feature_bytes") if (first.config.get("model") or {}).get("rerank") else None
    times, sizes = (_time(encoding.at(n)) for n in SIZES.values()), (_size(packed, unpacked, f) for f in factors)
    work = _flops(group.cost("flops_per_item")), _memory(group)
    rows = [Row((*cells, *times, *sizes, _size(features, None, factors[-1]), *work))]
    name = paper_model(first) or ""
    if name in ENCODING or name in STORAGE or name in FEATURES:
        known = [_paper_time(seconds) for seconds in ENCODING.get(name, ())]
        stored = [Cell(NOTHING)] * 3 + [_gib(STORAGE.get(name)), _gib(FEATURES.get(name))]
        unknown = [Cell(NOTHING)] * len(work)
        rows.append(Row((*text_cells("paper", *[""] * 5), *(known or [Cell(NOTHING)] * 4), *stored, *unknown), "paper"))
    return rows


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


def _time(found: TimeOfSize) -> Cell:
    numbers = {"": found.seconds}
    if not found.is_measured:
        return Cell(f"~{seconds_text(found.seconds)}", numbers=numbers)
    if found.fastest is None or found.slowest is None:
        return Cell(seconds_text(found.seconds), numbers=numbers)
    note = f"{seconds_text(found.fastest)} to {seconds_text(found.slowest)}"
    return Cell(seconds_text(found.seconds), note, numbers | {"fastest": found.fastest, "slowest": found.slowest})


def _paper_time(seconds: float | None) -> Cell:
    return Cell(NOTHING) if seconds is None else Cell(seconds_text(seconds), numbers={"": seconds})


def _size(packed: Score | None, unpacked: Score | None, factor: float) -> Cell:
    if packed is None:
        return Cell(NOTHING)
    numbers = {"": packed.value * factor}
    if unpacked is None or unpacked.value == packed.value:
        return Cell(bytes_text(packed.value * factor), numbers=numbers)
    return Cell(bytes_text(packed.value * factor), bytes_text(unpacked.value * factor), numbers)


def _gib(size: float | None) -> Cell:
    return Cell(NOTHING) if size is None else Cell(f"{size:g} GiB", numbers={"": size * 2**30})


def _model(run: Results) -> tuple[str, str]:
    return run.model.name, run.model.size or NOTHING


def _attention_rows(name: tuple[str, str], attending: Sequence[Results]) -> list[Row]:
    runs = [run for run in attending if _model(run) == name]
    groups: dict[tuple[int, int, str], list[Results]] = {}
    for run in runs:
        groups.setdefault((run.data.images, run.data.captions, run.data.name), []).append(run)
    seconds = {key: sum(r.efficiency["attention_seconds"] for r in group) / len(group) for key, group in groups.items()}
    ordered = sorted(seconds)
    counts = [key[0] for key in ordered]
    exponent = fitted_exponent(counts, [seconds[key] for key in ordered]) if len(set(counts)) > 1 else None
    rows = []
    for number, key in enumerate(ordered):
        images, captions, data = key
        slope = "" if number else NOTHING if exponent is None else f"{exponent:.2f}"
        numbers = [
            (seconds_text(seconds[key]), seconds[key]),
            (f"{1e6 * seconds[key] / (images * captions):.2f}", 1e6 * seconds[key] / (images * captions)),
            (f"{1e3 * seconds[key] / (images + captions):.2f}", 1e3 * seconds[key] / (images + captions)),
        ]
        measured = tuple(Cell(text, numbers={"": number}) for text, number in numbers)
        rows.append(Row((*text_cells(*name, data, f"{images:,}", f"{captions:,}"), *measured, Cell(slope))))
        if (theirs := _paper_attention(groups[key][0])) is not None:
            unknown = [Cell(NOTHING)] * 3
            rows.append(Row((*text_cells("paper", "", "", "", ""), _paper_time(theirs), *unknown), "paper"))
    return rows


def _paper_attention(run: Results) -> float | None:
    """The paper's seconds of a run's model at a run's size, k = 128 of a re-ranker."""
    sizes, theirs = list(SIZES.values()), ATTENTION.get(paper_model(run) or "", ())
    position = sizes.index(run.data.images) if run.data.images in sizes else len(theirs)
    return theirs[position] if position < len(theirs) else None


def fitted_exponent(counts: Sequence[int], seconds: Sequence[float]) -> float:
    """Slope of log seconds over log count by least squares: 2 where cost grows with the square.

    Args:
        counts: Images, at least two different numbers; captions grow alike.
        seconds: Cost at each.

    Returns:
        The exponent; NaN for a single count.
    """
    if len(set(counts)) < 2:
        return math.nan
    x, y = [math.log(count) for count in counts], [math.log(second) for second in seconds]
    x_mean, y_mean = sum(x) / len(x), sum(y) / len(y)
    along = sum((a - x_mean) * (b - y_mean) for a, b in zip(x, y, strict=True))
    return along / sum((a - x_mean) ** 2 for a in x)
