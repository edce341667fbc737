"""A trained run: encode new images and texts, and search with them."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
import torch

from fico.errors import DataError, UsageError
from fico.inference.encoder import RunEncoder
from fico.inference.folder_index import FolderIndex, index_folder
from fico.inference.gallery import Captions, Galleries, Images, stored_galleries
from fico.inference.inputs import StoredInputs
from fico.inference.network import load_network
from fico.inference.ranking import ExactIndex, best_images, best_texts, exact_index
from fico.inference.readers import ImageInputs, TextInputs, image_files
from fico.inference.results import Clock, SearchResults, caption_hits, image_hits
from fico.networks.checkpoint_io.load import weights_digest
from fico.scoring.candidates import Rule
from fico.types import EncodedBatch, Ranking

if TYPE_CHECKING:
    from PIL import Image


def load_run(run: str | Path, *, device: str = "cpu") -> "TrainedRun":
    """Open a run's trained model for use.

    Args:
        run: The folder that the run printed last.
        device: Where the network runs, as torch names it.

    Raises:
        DataError: The folder has no checkpoint, was written by a release that stored no inputs, or is damaged.
    """
    folder = Path(run)
    network, model = load_network(folder)
    return TrainedRun(folder, network, model, StoredInputs.load(folder), device)


class TrainedRun:
    """A run's model in use; `load_run` makes it.

    Args:
        folder: The run's folder.
        network: Of `fico.inference.network.load_network`.
        model: The ``model`` node of its config.
        stored: What it stores of its inputs.
        device: Where the network runs.
    """

    def __init__(self, folder: Path, network: Any, model: Mapping[str, Any], stored: StoredInputs, device: str) -> None:
        self.folder, self.model = folder, model
        self._stored = stored
        self._texts = TextInputs(stored, model)
        self._encoder = RunEncoder(network, ImageInputs(stored), self._texts, device)
        self._indexes: WeakKeyDictionary[Images | Captions, ExactIndex] = WeakKeyDictionary()

    @property
    def name(self) -> str:
        """Of the model."""
        return str(self.model["name"])

    @property
    def bits(self) -> int | None:
        """Length of the codes; None for floats."""
        return self.model.get("bits")

    @property
    def is_pair_scorer(self) -> bool:
        """Whether the model scores an image with a text, so that neither has an embedding to compare with its like."""
        return self.model["similarity"] is None

    @property
    def rerank_k(self) -> int | None:
        """Candidates that a re-ranker scored in its test; None of other models."""
        rerank = self.model.get("rerank")
        return None if rerank is None else int(rerank["k"])

    @property
    def network(self) -> Any:
        """In evaluation mode, on the run's device."""
        return self._encoder.network

    @cached_property
    def galleries(self) -> Galleries:
        """Images and captions of the tested split.

        Raises:
            DataError: The run stores no embeddings, or they are damaged.
        """
        return stored_galleries(self.folder, self._stored)

    @cached_property
    def weights_digest(self) -> str:
        """SHA-256 of the network's weights."""
        return weights_digest(self._encoder.network)

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Embed texts.

        Args:
            texts: Any number; each has at least one word.

        Returns:
            ``texts dim`` floats, or codes of +1 and -1; of a pair scorer ``texts words dim``, padded with zeros.

        Raises:
            DataError: A text is empty, or the run's text features were made elsewhere.
        """
        encoded: np.ndarray = self._encoder.encode_texts(_some(texts, "texts")).vectors.numpy()
        return encoded

    def encode_images(self, images: "Sequence[str | Path | Image.Image]") -> np.ndarray:
        """Embed images.

        Args:
            images: Files, or images that Pillow has opened.

        Returns:
            ``images dim`` floats, or codes of +1 and -1; of a pair scorer ``images regions dim``.

        Raises:
            DataError: A file is missing or broken, or the run's image features were made elsewhere.
        """
        with image_files(_some(images, "images")) as files:
            encoded: np.ndarray = self._encoder.encode_images(files).numpy()
        return encoded

    def encode_tested(self) -> EncodedBatch:
        """Embeddings of the tested split, and the states of a re-ranker, which are encoded again.

        Raises:
            DataError: The model is no re-ranker, or the images of the run are features without files.
        """
        images, captions = self.galleries.images, self.galleries.captions
        if self._rule is None:
            raise DataError(f"{self.name} is no re-ranker, so it has no states to score pairs with")
        image_states = self._encoder.image_states(images.files(np.arange(len(images.ids))))
        text_states, lengths = self._encoder.text_states(captions.texts)
        return EncodedBatch(
            images=images.vectors,
            image_ids=torch.arange(len(images.ids)),
            texts=captions.vectors,
            text_ids=torch.arange(len(captions.ids)),
            text_lengths=lengths,
            image_states=image_states,
            text_states=text_states,
        )

    def search(
        self,
        texts: Sequence[str] | None = None,
        images: "Sequence[str | Path | Image.Image] | None" = None,
        *,
        k: int = 5,
        gallery: Images | None = None,
        candidates: int | None = None,
    ) -> SearchResults:
        """Find images by texts or by images, or captions by images.

        Args:
            texts: Find images.
            images: Find captions of the run's tested split; in a ``gallery``, similar images.
            k: Items of each query; a smaller gallery is given as a whole.
            gallery: Images of a folder, by `index`; default: the images of the run's tested split.
            candidates: Items of the first stage that a re-ranker scores, and no others are found; 0: the first stage
                alone; default: as many as in the run's test, at least ``k``. Other models have no second stage.

        Raises:
            UsageError: Not just one of ``texts`` and ``images`` is given, ``k`` is below 1, ``candidates`` below 0, or
                a pair scorer would have to compare images with images.
            DataError: No word of a text is known, or a query cannot be read.
        """
        if (texts is None) == (images is None):
            raise UsageError("a search has texts or images as queries; give one of the two")
        if k < 1:
            raise UsageError(f"k is {k}; it starts at 1")
        if candidates is not None and candidates < 0:
            raise UsageError(f"candidates is {candidates}; it starts at 0, which is the first stage alone")
        depth = self._default_candidates(k) if candidates is None or self._rule is None else candidates
        if texts is not None:
            return self._find_images(_some(texts, "texts"), gallery or self.galleries.images, k, depth)
        assert images is not None
        with image_files(_some(images, "images")) as files:
            if gallery is not None:
                return self._find_similar(files, gallery, k)
            return self._find_captions(files, self.galleries.captions, k, depth)

    def index(self, folder: str | Path, *, progress: bool = False) -> FolderIndex:
        """Embed the images of a folder once; only new and changed files are embedded again.

        Args:
            folder: Images may lie in folders below it.
            progress: Show a bar.

        Raises:
            DataError: There is no such folder, or no image in it that can be read.
        """
        return index_folder(Path(folder), self._encoder.encode_images, self._key, progress=progress)

    def _find_images(self, texts: Sequence[str], items: Images, k: int, candidates: int) -> SearchResults:
        unknown = tuple(map(self._texts.unknown_words, texts))
        index = self._exact(items)
        self._texts.load()
        clock = Clock()
        queries = self._encoder.encode_texts(texts)
        clock.step("encode")
        first = min(candidates or k, len(items.ids))
        if index is None:
            found = best_images(self._encoder.network, items.vectors, queries.vectors, queries.lengths, first)
        else:
            found = index.search(queries.vectors, first)
        clock.step("search")
        if candidates:
            scores = [
                self._encoder.match(items.files(rows), [text]) for text, rows in zip(texts, found.indices, strict=True)
            ]
            found = self._reranked(found, scores, k)
            clock.step("rerank")
        return SearchResults(image_hits(found, items), unknown, clock.seconds, len(items.ids))

    def _find_captions(self, files: Mapping[str, Path], items: Captions, k: int, candidates: int) -> SearchResults:
        index = self._exact(items)
        clock = Clock()
        queries = self._encoder.encode_images(files)
        clock.step("encode")
        first = min(candidates or k, len(items.ids))
        if index is None:
            found = best_texts(self._encoder.network, queries, items.vectors, items.lengths, first)
        else:
            found = index.search(queries, first)
        clock.step("search")
        if candidates:
            matched = [
                self._encoder.match({name: path}, [items.texts[row] for row in rows.tolist()])
                for (name, path), rows in zip(files.items(), found.indices, strict=True)
            ]
            found = self._reranked(found, matched, k)
            clock.step("rerank")
        return SearchResults(caption_hits(found, items), (), clock.seconds, len(items.ids))

    def _find_similar(self, files: Mapping[str, Path], items: Images, k: int) -> SearchResults:
        index = self._exact(items)
        if index is None:
            raise UsageError(
                f"{self.name} scores an image with a text, so it cannot compare images with images; give a text, or "
                "search the captions of the run"
            )
        clock = Clock()
        queries = self._encoder.encode_images(files)
        clock.step("encode")
        found = index.search(queries, min(k, len(items.ids)))
        clock.step("search")
        return SearchResults(image_hits(found, items), (), clock.seconds, len(items.ids))

    @cached_property
    def _key(self) -> str:
        """What embeddings of images depend on."""
        return f"{self.weights_digest} {self._stored.scale_digest} {self._stored.readers['image']}"

    @property
    def _rule(self) -> Rule | None:
        """How a re-ranker scores; None of other models."""
        rerank = self.model.get("rerank")
        return None if rerank is None else rerank["rule"]

    def _default_candidates(self, k: int) -> int:
        return 0 if self.rerank_k is None else max(k, self.rerank_k)

    def _exact(self, items: Images | Captions) -> ExactIndex | None:
        """The index of a gallery, built on its first search and kept as long as the gallery; None of a pair scorer."""
        if self.is_pair_scorer:
            return None
        if items not in self._indexes:
            self._indexes[items] = exact_index(items.vectors, self.model["similarity"], self.bits)
        return self._indexes[items]

    def _reranked(self, found: Ranking, scores: Sequence[np.ndarray], k: int) -> Ranking:
        matched = np.stack(scores)
        matched = matched + found.scores if self._rule == "itm_plus_similarity" else matched
        order = np.argsort(-matched, axis=1, kind="stable")[:, :k]
        return Ranking(np.take_along_axis(matched, order, 1), np.take_along_axis(found.indices, order, 1))


def _some(values: Sequence[Any], what: str) -> Sequence[Any]:
    if isinstance(values, str | Path) or not len(values):
        raise UsageError(f"{what} is {values!r}; give a list with at least one")
    return values
