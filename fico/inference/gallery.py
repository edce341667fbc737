"""Galleries: the images and captions of a run's tested split, or the images of a folder."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fico.codes import HashCodes
from fico.embeddings.store import EmbeddingStore
from fico.errors import DataError
from fico.inference.inputs import StoredInputs


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Images:
    """Images that can be found.

    Args:
        vectors: ``images ...``, as the network embeds them; codes are +1 and -1.
        ids: One for each.
        paths: Files; empty where a run has features alone.
    """

    vectors: Tensor
    ids: tuple[str, ...]
    paths: tuple[Path, ...]

    def files(self, rows: np.ndarray) -> dict[str, Path]:
        """Files of some rows by id, for a network that reads them again.

        Raises:
            DataError: There are none.
        """
        if not self.paths:
            raise DataError("the images of this run are features without files, which a re-ranker cannot read again")
        return {self.ids[row]: self.paths[row] for row in rows.tolist()}


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Captions:
    """Captions that can be found.

    Args:
        vectors: ``captions ...``, as the network embeds them.
        lengths: Words of each, from a pair scorer.
        ids: One for each.
        texts: As written.
    """

    vectors: Tensor
    lengths: Tensor | None
    ids: tuple[str, ...]
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Galleries:
    """What a run was tested on.

    Args:
        name: Data set and split, such as ``shapes test``.
        images: Its images.
        captions: Its captions.
        positives: For each caption the row of its matching image.
    """

    name: str
    images: Images
    captions: Captions
    positives: np.ndarray


def stored_galleries(run: Path, stored: StoredInputs) -> Galleries:
    """The images and captions of the split that a run tested.

    Raises:
        DataError: The run stores no embeddings, or they are damaged or of another split than its captions.
    """
    store = EmbeddingStore.load(run / "embeddings")
    if len(stored.captions) != len(store.caption_ids):
        raise DataError(
            f"{run} stores {len(store.caption_ids)} embeddings of captions, but {len(stored.captions)} captions; its "
            "files are of different runs: train it again"
        )
    lengths = None if store.text_lengths is None else torch.from_numpy(store.text_lengths)
    return Galleries(
        stored.tested_name,
        Images(_vectors(store.images, store.bits), store.image_ids, stored.image_paths),
        Captions(_vectors(store.texts, store.bits), lengths, store.caption_ids, stored.captions),
        store.correspondence.caption_to_image,
    )


def _vectors(rows: np.ndarray, bits: int | None) -> Tensor:
    return torch.from_numpy(rows if bits is None else HashCodes.from_packed(rows, bits).to_signs().astype(np.float32))
