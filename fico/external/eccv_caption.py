"""ECCV Caption and CxC: positives of COCO's test split that people found later, from the package of the authors."""

import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from fico.correspondence import Correspondence
from fico.errors import DataError, UsageError
from fico.util.optional import requires_extra

SIXTH_CAPTIONS = ("144675", "467259")  # positives in `eccv`, but not among the 25,000 captions of its own gallery
PositiveSet = Literal["eccv", "cxc", "original"]


def eccv_caption_positives(
    name: PositiveSet, image_ids: Sequence[str], caption_ids: Sequence[str], correspondence: Correspondence
) -> Correspondence:
    """Positives of one of the package's sets for Karpathy's test split of COCO.

    ``eccv``: 1,261 images with 17.9 relevant captions on average and 1,332 captions with 8.5 relevant images; the
    annotators looked at these queries alone. ``cxc``: all images and 24,972 captions. ``original``: COCO's own pairs.
    Of the sixth captions that ten images of COCO have, two are positives of `eccv`, where the gallery holds them; the
    others are in no set and so never relevant.

    Args:
        name: Which set.
        image_ids: COCO's id of each image.
        caption_ids: COCO's id of each caption.
        correspondence: The image row of each caption.

    Raises:
        UsageError: There is no such set, or the package is not installed.
        DataError: The set names an image or caption that is not there: this is not the whole test split.

    Source:
        Chun et al., ECCV 2022, arXiv 2204.03359; Parekh et al., EACL 2021, arXiv 2004.15020 (CxC).

    Differs:
        The package's functions take ranked lists of ids, of which its own example gives the first 50 of each query, so
        that folds of COCO 1K are cut short; ask for ``eccv_rprecision`` alone and they return nothing (a misspelt key).
        Here every item is ranked, and ties have their bounds.
    """
    if name not in get_args(PositiveSet):
        raise UsageError(f"eccv_caption has no set {name!r}; it has {', '.join(get_args(PositiveSet))}")
    folder = annotations_folder()
    sides = (("image", "caption", image_ids, caption_ids), ("caption", "image", caption_ids, image_ids))
    pairs, queries = set(), []
    for query_side, item_side, query_ids, item_ids in sides:
        found = json.loads((folder / f"{name}_{query_side}_to_{item_side}.json").read_text(encoding="utf-8"))
        rows = [{str(number): row for row, number in enumerate(ids)} for ids in (query_ids, item_ids)]
        queries.append([_row(rows[0], query, query_side, name) for query in found])
        for query, items in zip(queries[-1], found.values(), strict=True):
            kept = (item for item in map(str, items) if item in rows[1] or item not in SIXTH_CAPTIONS)
            relevant = [_row(rows[1], item, item_side, name) for item in kept]
            pairs |= {(query, row) if query_side == "image" else (row, query) for row in relevant}
    image_rows, caption_rows = np.array(sorted(pairs)).T
    return Correspondence.from_pairs(
        image_rows, caption_rows, images=len(image_ids), captions=len(caption_ids),
        caption_to_image=correspondence.caption_to_image, image_queries=queries[0], caption_queries=queries[1],
    )  # fmt: skip


def annotations_folder() -> Path:
    """Folder of the annotations. The package itself is not imported: it warns of packages that only its loops need.

    Raises:
        UsageError: The package is not installed.
    """
    with requires_extra("eccv"):
        found = find_spec("eccv_caption")
        if found is None or not found.submodule_search_locations:
            raise ModuleNotFoundError("no package", name="eccv_caption")
    return Path(found.submodule_search_locations[0]) / "data"


def _row(rows: dict[str, int], number: str, side: str, name: str) -> int:
    try:
        return rows[number]
    except KeyError:
        raise DataError(
            f"{name} of eccv_caption names the {side} {number}, which is not among the {len(rows)} {side}s here; it "
            "belongs to the whole test split of COCO, dataset=coco dataset.split=test"
        ) from None
