"""Candidates that a screen by short codes needs for almost all of exact R@1."""

import argparse
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from fico.embeddings.store import EmbeddingStore
from fico.errors import DataError
from fico.metrics.specification import DIRECTIONS
from fico.report.table.markdown import as_markdown
from fico.report.table.table import Column, Row, Table, text_cells
from fico.search.faiss_index import FaissSearch
from fico.search.itq import ITQ

Scores = np.ndarray  # images x captions, higher is nearer
FRACTIONS = (0.95, 0.99)  # of exact R@1
Screen = Callable[[np.ndarray, np.ndarray, int], dict[str, Scores]]


def candidates_needed(codes: Scores, exact: Scores, relevant: np.ndarray, fraction: float) -> int:
    """Smallest number of candidates that keeps a fraction of the queries whose nearest item is relevant.

    A query is kept where its exact nearest item is among the candidates; items of equal score count as before it.

    Args:
        codes: ``queries items``, scores of the screen.
        exact: ``queries items``, scores of the ranking.
        relevant: ``queries items``, bool.
        fraction: Of these queries, in 0..1.

    Raises:
        DataError: No query has a relevant nearest item.
    """
    nearest = exact.argmax(axis=1)[:, None]
    hits = np.take_along_axis(relevant, nearest, 1)[:, 0]
    if not hits.any():
        raise DataError("no query has a relevant item at rank 1, so that there is nothing to keep; take a better run")
    ranks = np.sort((codes >= np.take_along_axis(codes, nearest, 1)).sum(axis=1)[hits])
    return int(ranks[math.ceil(fraction * len(ranks)) - 1])


def _inner(images: np.ndarray, texts: np.ndarray) -> dict[str, Scores]:
    return {"i2t": images @ texts.T, "t2i": texts @ images.T}


def _signs(images: np.ndarray, texts: np.ndarray, matrix: np.ndarray, offset: np.ndarray) -> dict[str, Scores]:
    codes = (np.where(side @ matrix.T + offset > 0, 1, -1).astype(np.float32) for side in (images, texts))
    return _inner(*codes)


def _itq(images: np.ndarray, texts: np.ndarray, bits: int) -> dict[str, Scores]:
    return _signs(images, texts, *ITQ(bits).fit(images, texts).projection)


def _pca(images: np.ndarray, texts: np.ndarray, bits: int) -> dict[str, Scores]:
    both = np.concatenate([images, texts])
    mean = both.mean(axis=0)
    directions = np.linalg.svd(both - mean, full_matrices=False)[2][:bits]
    if len(directions) < bits:
        raise DataError(f"{len(directions)} principal components are too few for {bits} bits")
    return _signs(images, texts, directions, -directions @ mean)


def _rotation(images: np.ndarray, texts: np.ndarray, bits: int) -> dict[str, Scores]:
    """Signs after random rotations, as many as the bits take; without any fit."""
    draws, dim = np.random.default_rng(0), images.shape[1]
    rotations = [np.linalg.qr(draws.normal(size=(dim, dim)))[0] for _ in range(math.ceil(bits / dim))]
    return _signs(images, texts, np.concatenate(rotations)[:bits].astype(np.float32), np.zeros(bits, np.float32))


def _rabitq(images: np.ndarray, texts: np.ndarray, bits: int) -> dict[str, Scores]:
    """One bit a dimension after a rotation, and two floats an item; the query stays a float vector."""
    scores = {}
    for direction, (queries, items) in {"i2t": (images, texts), "t2i": (texts, images)}.items():
        rotation = f"PCAR{bits}" if bits <= min(items.shape) else f"RR{bits}"
        index = FaissSearch(f"{rotation},RaBitQ", metric="inner")
        index.add(items)
        found = index.search(queries, len(items))
        scores[direction] = np.full((len(queries), len(items)), -np.inf, np.float32)
        np.put_along_axis(scores[direction], found.indices, found.scores.astype(np.float32), axis=1)
    return scores


SCREENS: dict[str, Screen] = {
    "ITQ": _itq,
    "PCA, sign": _pca,
    "random rotation, sign": _rotation,
    "RaBitQ, queries as floats": _rabitq,
}


def measure(source: EmbeddingStore, heads: Sequence[EmbeddingStore], bits: Sequence[int]) -> Iterator[Row]:
    """One row for each screen and code length.

    Args:
        source: Float embeddings, by whose cosine the candidates are ranked.
        heads: Codes of the same split, learnt from these embeddings.
        bits: Code lengths of the other screens, which are fitted on the embeddings of the tested split itself.

    Raises:
        DataError: A head has no codes, or other images.
    """
    images, texts = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in (source.images, source.texts))
    exact = _inner(images, texts)
    matches = source.correspondence.caption_to_image[None] == np.arange(len(images))[:, None]
    relevant = {"i2t": matches, "t2i": matches.T}

    def row(name: str, length: int, codes: dict[str, Scores]) -> Row:
        needed = [
            str(candidates_needed(codes[side], exact[side], relevant[side], fraction))
            for fraction in FRACTIONS
            for side in DIRECTIONS
        ]
        return Row(text_cells(name, str(length), *needed))

    for length in bits:
        for name, screen in SCREENS.items():
            try:
                codes = screen(images, texts, length)
            except DataError:  # more bits than dimensions
                continue
            yield row(name, length, codes)
    for head in heads:
        if head.bits is None or head.image_ids != source.image_ids:
            raise DataError("a head has no codes of the same test split; give runs with model.source of this run")
        signs = (np.unpackbits(side, axis=1).astype(np.float32) * 2 - 1 for side in (head.images, head.texts))
        yield row("hash head", head.bits, _inner(*signs))


def main(words: Sequence[str] | None = None) -> None:
    """Print the table of one run."""
    parser = argparse.ArgumentParser(prog="python -m fico.bench.screens", description=__doc__)
    parser.add_argument("run", type=Path, help="folder of a run with float embeddings")
    parser.add_argument("--heads", type=Path, nargs="*", default=[], help="runs of model=hash_head model.source=RUN")
    parser.add_argument("--bits", type=int, nargs="+", default=[64, 128, 256])
    options = parser.parse_args(words)
    source, *heads = (EmbeddingStore.load(run / "embeddings") for run in (options.run, *options.heads))
    kept = [Column(side, f"{fraction:.0%} of exact R@1") for fraction in FRACTIONS for side in DIRECTIONS]
    columns = (Column("screen", is_text=True), Column("bits"), *kept)
    table = Table("screens", "Candidates needed", columns, tuple(measure(source, heads, options.bits)))
    sys.stdout.write(as_markdown(table))
