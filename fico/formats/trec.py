"""Runs and qrels in the form of the TREC tools, so that other evaluators can check our numbers, and we theirs.

A run has lines ``query Q0 item rank score tag``, qrels have ``query 0 item relevance``. As trec_eval does, the
rank column is ignored when reading: the scores decide, and items that a run does not list come after all others.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int64

from fico.errors import DataError
from fico.formats.text import read_lines
from fico.types import Correspondence, Ranking
from fico.util.atomic import atomic_write


@dataclass(frozen=True, slots=True, eq=False)
class TrecScores:
    """What runs of both directions say, as matrices; cells that a run does not list are ``-inf``.

    Args:
        i2t: ``images captions``; None without such a run.
        t2i: ``captions images``; None without such a run.
        correspondence: Image row of each caption, or the pairs where a caption has several images or none.
        image_ids: Id of each image row.
        caption_ids: Id of each caption row.
    """

    i2t: Float[np.ndarray, "images captions"] | None
    t2i: Float[np.ndarray, "captions images"] | None
    correspondence: Correspondence
    image_ids: tuple[str, ...]
    caption_ids: tuple[str, ...]


def write_run(path: Path, ranking: Ranking, query_ids: Sequence[str], item_ids: Sequence[str], tag: str) -> None:
    """Writes a ranking as a run, whole or not at all.

    Args:
        path: The file.
        ranking: Best items of each query.
        query_ids: One per row of the ranking; without blanks.
        item_ids: By item row; without blanks.
        tag: Name of the run; without blanks.

    Raises:
        DataError: An id or the tag holds a blank.
    """
    _check_ids((*query_ids, *item_ids, tag))
    # enough digits to read the same float back, no more
    digits = 17 if ranking.scores.dtype == np.float64 else 9

    def lines() -> Iterator[str]:
        for query, scores, rows in zip(query_ids, ranking.scores, ranking.indices, strict=True):
            for rank, (score, row) in enumerate(zip(scores.tolist(), rows.tolist(), strict=True), start=1):
                yield f"{query} Q0 {item_ids[row]} {rank} {score:.{digits}g} {tag}\n"

    _write(path, lines())


def write_qrels(
    path: Path, relevant: Iterable[Bool[np.ndarray, " items"]], query_ids: Sequence[str], item_ids: Sequence[str]
) -> None:
    """Writes which items are relevant to which query, atomically; only relevant ones get a line.

    Args:
        path: The file.
        relevant: For each query a mask over all items.
        query_ids: One per query; without blanks.
        item_ids: One per item; without blanks.

    Raises:
        DataError: An id holds a blank.
    """
    _check_ids((*query_ids, *item_ids))
    masks = zip(query_ids, relevant, strict=True)
    _write(path, (f"{query} 0 {item_ids[row]} 1\n" for query, mask in masks for row in np.flatnonzero(mask).tolist()))


def read_trec(i2t_run: Path | None, t2i_run: Path | None, qrels: Path) -> TrecScores:
    """Reads runs of one or both directions, and the qrels of images as queries.

    Args:
        i2t_run: Run with images as queries; None leaves the direction out.
        t2i_run: Run with captions as queries; None leaves the direction out.
        qrels: Lines ``image 0 caption 1``: the captions of each image, any number of images for each caption. It lists
            every caption; one that is relevant to no image stands there with relevance 0.

    Raises:
        DataError: A file is missing, a line is broken (it is named), or a run lists an item twice for one query or a
            caption that the qrels do not know.
    """
    lines = list(read_qrels(qrels))
    relevant = [(image, caption) for image, caption, is_relevant in lines if is_relevant]
    if not relevant:
        raise DataError(f"{qrels} lists no relevant item; it needs lines like 'image 0 caption 1'")
    i2t = _read_run(i2t_run) if i2t_run else {}
    t2i = _read_run(t2i_run) if t2i_run else {}
    named = (image for image, _ in relevant), (query for query, _ in i2t), (item for _, item in t2i)
    images = {name: row for row, name in enumerate(dict.fromkeys(chain(*named)))}
    captions = {name: row for row, name in enumerate(dict.fromkeys(caption for _, caption, _ in lines))}
    pairs = np.array([(images[image], captions[caption]) for image, caption in relevant], dtype=np.int64)
    return TrecScores(
        _matrix(i2t_run, i2t, images, captions) if i2t_run else None,
        _matrix(t2i_run, t2i, captions, images) if t2i_run else None,
        _correspondence(pairs, len(images), len(captions)),
        tuple(images),
        tuple(captions),
    )


def read_qrels(path: Path) -> Iterator[tuple[str, str, bool]]:
    """Lines ``image 0 caption relevance`` as (image, caption, whether the relevance is above 0).

    Raises:
        DataError: The file is missing, or a line is broken (it is named).
    """
    for line_number, (image, _, caption, relevance) in _lines(path, 4):
        yield image, caption, _number(relevance, path, line_number) > 0


def _correspondence(pairs: Int64[np.ndarray, "pairs 2"], images: int, captions: int) -> Correspondence:
    found = Correspondence.from_pairs(pairs[:, 0], pairs[:, 1], images=images, captions=captions)
    has_own_image_alone = (found.caption_to_image >= 0).all()
    return Correspondence(found.caption_to_image) if has_own_image_alone else found


def _matrix(
    path: Path, scores: dict[tuple[str, str], float], rows: dict[str, int], columns: dict[str, int]
) -> Float[np.ndarray, "queries items"]:
    matrix = np.full((len(rows), len(columns)), -np.inf)
    for (query, item), score in scores.items():
        if query not in rows or item not in columns:
            name = query if query not in rows else item
            raise DataError(
                f"{path} lists {name}, which the qrels do not name as a caption; they must list every caption"
            )
        matrix[rows[query], columns[item]] = score
    return matrix


def _read_run(path: Path) -> dict[tuple[str, str], float]:
    scores: dict[tuple[str, str], float] = {}
    for line_number, (query, _, item, _, score, _) in _lines(path, 6):
        if (query, item) in scores:
            raise DataError(f"{path} line {line_number} lists {item} a second time for {query}")
        scores[query, item] = _number(score, path, line_number)
    return scores


def _lines(path: Path, columns: int) -> Iterator[tuple[int, list[str]]]:
    for line_number, line in enumerate(read_lines(path), start=1):
        parts = line.split()
        if parts and len(parts) != columns:
            raise DataError(f"{path} line {line_number} has {len(parts)} columns, expected {columns}")
        if parts:
            yield line_number, parts


def _number(text: str, path: Path, line_number: int) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise DataError(f"{path} line {line_number} has {text!r} where a finite number is wanted")
    return value


def _check_ids(ids: Iterable[str]) -> None:
    for name in ids:
        if not name or len(name.split()) != 1:
            raise DataError(
                f"the id {name!r} cannot be written to a TREC file; ids there are not empty and have no blanks"
            )


def _write(path: Path, lines: Iterable[str]) -> None:
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.writelines(lines)
