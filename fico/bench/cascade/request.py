"""What a cascade is asked for, and what is refused before anything large is imported or computed."""

import re
from dataclasses import dataclass
from pathlib import Path

from fico.errors import UsageError
from fico.report.results.schema import RESULTS, Results, read_results, read_tested

NAME = "cascade"  # of the model in a config
SCREENS = ("codes", "itq:BITS", "flat", "hnsw")


@dataclass(frozen=True, slots=True, order=True)
class Depth:
    """Candidates of a query: a number, or a percentage of the gallery, which gives both directions the same fraction.

    Args:
        number: Of items, or percent.
        is_percent: Which of the two.
    """

    number: float
    is_percent: bool = False

    def __str__(self) -> str:
        return f"{self.number:g}{'%' if self.is_percent else ''}"

    def of(self, items: int) -> int:
        """Candidates in a gallery of so many items: at most the percentage, but at least one."""
        return max(1, int(items * self.number / 100 + 1e-9)) if self.is_percent else int(self.number)


def read_depths(text: str, name: str = "--k") -> tuple[Depth, ...]:
    """Depths in ascending order, numbers before percentages.

    Args:
        text: With commas, as ``10,50`` or ``5%,10%``.
        name: Of the option, for the message.

    Raises:
        UsageError: One is neither a whole number from 1 nor a percentage above 0 and up to 100, or is there twice.
    """
    depths = []
    for part in map(str.strip, text.split(",")):
        found = re.fullmatch(r"(\d+)|(\d+(?:\.\d+)?)%", part)
        depth = None if found is None else Depth(float(found[1] or found[2]), is_percent=found[1] is None)
        if depth is None or not (0 < depth.number <= 100 if depth.is_percent else depth.number >= 1):
            raise UsageError(
                f"{name} holds {part!r}; give whole numbers from 1 or percentages of the gallery, such as 10,50 or 5%"
            )
        depths.append(depth)
    if len(set(depths)) < len(depths):
        raise UsageError(f"{name}={text} names a depth twice; give each once")
    return tuple(sorted(depths, key=lambda depth: (depth.is_percent, depth.number)))


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """One of the two runs.

    Args:
        folder: Of the run.
        results: Its results.
    """

    folder: Path
    results: Results

    @property
    def label(self) -> str:
        """Name of its model, with the bits of a hashing model."""
        model = self.results.model
        return model.name if model.bits is None else f"{model.name}-{model.bits}"


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """A checked cascade.

    Args:
        screen: The run whose codes or embeddings screen.
        rank: The run whose model ranks.
        depths: Candidates of each query, by the pairs of both directions.
        index: What screens: one of `SCREENS`.
    """

    screen: Stage
    rank: Stage
    depths: tuple[Depth, ...]
    index: str

    @property
    def bits(self) -> int | None:
        """Bits of ITQ; None for another screen."""
        return int(self.index.partition(":")[2]) if self.index.startswith("itq:") else None

    @property
    def screen_label(self) -> str:
        """The screen's model, and its index where that is none of its own codes."""
        return self.screen.label if self.index == "codes" else f"{self.screen.label} {self.index}"


def checked_request(
    screen: Path, rank: Path, depths: tuple[Depth, ...], index: str | None, option: str = "--screen"
) -> Request:
    """Reads the results of both runs and refuses what cannot be a cascade.

    Args:
        screen: Folder of a finished run.
        rank: Folder of another, tested on the same split of the same data.
        depths: Candidates of each query.
        index: What screens; None: the codes of a hashing model.
        option: How the user chooses it, for messages.

    Raises:
        UsageError: The screen has no codes and no index was chosen, or is a pair scorer; the runs are on different
            data; a depth is above the gallery.
        DataError: A run did not finish or is damaged.
    """
    stages = [Stage(folder, read_tested(folder)) for folder in (screen, rank)]
    chosen = _index(stages[0], index, option)
    _check_data(*stages)
    data = stages[1].results.data
    depths = tuple(sorted(depths, key=lambda depth: depth.of(data.captions) + depth.of(data.images)))
    for depth in depths:
        for side, items in (("captions", data.captions), ("images", data.images)):
            if depth.of(items) > items:
                raise UsageError(
                    f"k is {depth}, but there are only {items} {side} to screen; give at most {items}, or a percentage"
                )
    return Request(stages[0], stages[1], depths, chosen)


def is_cascade(folder: Path) -> bool:
    """Whether a folder holds the results of a cascade."""
    if not (folder / RESULTS).is_file():
        return False
    return bool((read_results(folder).config.get("model") or {}).get("name") == NAME)


def check_target(out: Path, *, overwrite: bool) -> None:
    """Refuses a folder that holds something.

    Raises:
        UsageError: It does, and is not to be overwritten, or is none of a cascade.
        DataError: Its results are damaged.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not overwrite:
        raise UsageError(f"{out} is there already; give --overwrite or another --out")
    if not is_cascade(out):
        raise UsageError(f"{out} holds something else than a cascade, which is not overwritten; give another --out")


def _index(screen: Stage, index: str | None, option: str) -> str:
    model, config = screen.results.model, screen.results.config.get("model") or {}
    if config.get("similarity") is None:
        raise UsageError(
            f"{screen.folder} is of {model.name}, which scores pairs and has no embedding to screen with; give a run "
            "of codes or embeddings first, and this one second"
        )
    if index is None and model.bits is None:
        raise UsageError(f"{screen.folder} has floats and no codes; choose what screens: {option} itq:64, flat or hnsw")
    index = index or "codes"
    kind, _, bits = index.partition(":")
    if kind == "itq":
        if not bits.isdigit() or int(bits) < 8 or int(bits) % 8:
            raise UsageError(f"{option} is {index}; the bits of itq are a multiple of 8, such as itq:64")
    elif index not in SCREENS:
        raise UsageError(f"{option} is {index!r}; choose one of {', '.join(SCREENS)}")
    if (index == "codes") != (model.bits is not None):
        has = "has floats and no codes" if model.bits is None else f"has codes of {model.bits} bits"
        wanted = f"{option} itq:64, flat or hnsw" if model.bits is None else f"leave {option} out"
        raise UsageError(f"{option} is {index}, but {screen.folder} {has}; {wanted}")
    return index


def _check_data(screen: Stage, rank: Stage) -> None:
    one, two = screen.results.data, rank.results.data
    if (one.name, one.split) != (two.name, two.split):
        raise UsageError(
            f"{screen.folder} is on {one.name} {one.split}, {rank.folder} on {two.name} {two.split}; a cascade needs "
            "two runs on the same split"
        )
    if one.fingerprint != two.fingerprint:
        raise UsageError(
            f"{screen.folder} and {rank.folder} are both on {one.name} {one.split}, but its content differs "
            f"(fingerprints {one.fingerprint[:12]} and {two.fingerprint[:12]}); repeat one on the other's data"
        )
