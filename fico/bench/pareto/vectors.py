"""The vectors of a search bench: items, and queries of the items' modality and of the other one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fico.bench.pareto.two_maps import TwoMaps, modality_gap
from fico.bench.pareto.vector_files import open_vectors
from fico.bench.synthetic import SyntheticBlocks
from fico.errors import UsageError

Modality = Literal["same", "other"]
SYNTHETIC = ("two_maps", "sine")


@dataclass(frozen=True, slots=True)
class Vectors:
    """What is searched, by inner product.

    Args:
        items: ``items dim``, ``float32``.
        queries: By modality, ``queries dim`` each: the items' own, or the other one.
        notes: What a reader of the tables must know of them.
    """

    items: np.ndarray
    queries: Mapping[Modality, np.ndarray]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VectorsSource:
    """Where the vectors of a bench come from.

    Args:
        data: ``two_maps``, synthetic embeddings of two modalities; ``sine``, the vectors of the paper's Table 7, with
            queries like the items alone; or a file as `vector_files` reads them.
        items: Rows of the gallery.
        queries: Queries of each modality.
        dim: Numbers in a row.
        seed: Of synthetic vectors, and of which items of a file are held out.
        gap: Of ``two_maps``.
        noise: Of ``two_maps``.
        query_data: File of the queries.
        query_modality: Of the queries in a file: ``other``, then as many items are held out as queries like the items;
            or ``same``, then there are no others.
    """

    data: str
    items: int
    queries: int
    dim: int
    seed: int
    gap: float
    noise: float
    query_data: str | None
    query_modality: str

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """Of the queries that there will be."""
        has_other = self.data == "two_maps" or (self.data != "sine" and self.query_modality == "other")
        return ("same", "other") if has_other else ("same",)

    def check(self) -> None:
        """Refuses what does not fit together, before anything is made.

        Raises:
            UsageError: A key is out of range, or the file does not hold that much (what it holds is named).
            DataError: The file cannot be read.
        """
        if self.gap < 0 or self.noise < 0:
            raise UsageError(f"bench.gap is {self.gap} and bench.noise {self.noise}; give 0 or more")
        if self.query_modality not in ("same", "other"):
            raise UsageError(f"bench.query_modality is {self.query_modality!r}; choose same or other")
        if self.data in SYNTHETIC:
            return
        items, queries = open_vectors(self.data, self.query_data)
        held_out = self.queries if self.query_modality == "other" else 0
        enough = self.items + held_out <= items.shape[0] and self.queries <= queries.shape[0]
        if not enough or self.dim != items.shape[1]:
            raise UsageError(
                f"{self.data} has {items.shape[0]} items of {items.shape[1]} numbers and there are {queries.shape[0]} "
                f"queries, but bench.items={self.items}{f' and {held_out} held out' if held_out else ''}, "
                f"bench.dim={self.dim} and bench.queries={self.queries} are wanted; give numbers that fit"
            )

    def make(self) -> Vectors:
        """The vectors.

        Raises:
            DataError: A file cannot be read.
        """
        if self.data == "sine":
            sine = SyntheticBlocks(self.dim, self.items, self.queries, seed=self.seed)
            note = "The vectors of data=sine have queries like the items alone."
            return Vectors(sine.item_rows(0, self.items), {"same": sine.query_rows(0, self.queries)}, (note,))
        items, same, other = self._two_maps() if self.data == "two_maps" else self._of_files()
        if other is None:
            return Vectors(items, {"same": same}, ("There are queries like the items alone.",))
        distance, across, within = modality_gap(items[:20_000], other)
        note = (
            f"Queries of the other modality: their mean lies {distance:.2f} from that of the items; mean cosine with "
            f"the nearest item {across:.2f}, of items with the nearest other one {within:.2f} (at most 20,000 items)."
        )
        return Vectors(items, {"same": same, "other": other}, (note,))

    def _two_maps(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        maps = TwoMaps(self.dim, self.gap, self.noise, self.seed)
        return maps.rows(self.items, 0), maps.rows(self.queries, 1), maps.rows(self.queries, 2, other=True)

    def _of_files(self) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        items, queries = open_vectors(self.data, self.query_data)
        given = queries.first(self.queries)
        if self.query_modality == "same":
            return items.first(self.items), given, None
        rows = items.first(self.items + self.queries)
        order = np.random.default_rng(self.seed).permutation(len(rows))
        return rows[np.sort(order[self.queries :])], rows[order[: self.queries]], given
