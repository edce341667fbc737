"""A trained run: encode new images and texts, and search with them."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from fico.errors import UsageError
from fico.inference.encoder import RunEncoder
from fico.inference.folder_index import FolderIndex, index_folder
from fico.inference.gallery import Captions, Images, stored_galleries
from fico.inference.inputs import StoredInputs
from fico.inference.network import load_network
from fico.inference.ranking import best_images, best_texts, nearest
from fico.inference.readers import ImageInputs, TextInputs, image_files
from fico.networks.checkpoint_io.load import weights_digest
from fico.scoring.candidates import Rule
from fico.types import Ranking

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True, slots=True)
class Hit:
    """One item that was found.

    Args:
        rank: From 1.
        id: As the data set names it, or the path below a folder.
        score: Higher is nearer; of codes the negative number of differing bits.
        path: File of an image, where there is one.
        caption: Text of a caption.
    """

    rank: int
    id: str
    score: float
    path: Path | None = None
    caption: str | None = None


@dataclass(frozen=True, slots=True)
class SearchResults:
    """What a search found.

    Args:
        hits: For each query, best first.
        unknown_words: For each text, the words that do not occur in the training captions.
        seconds: Time of the steps ``encode``, ``search`` and, of a re-ranker, ``rerank``.
        items: Size of the gallery.
    """

    hits: tuple[tuple[Hit, ...], ...]
    unknown_words: tuple[tuple[str, ...], ...]
    seconds: Mapping[str, float]
    items: int


@dataclass(slots=True)
class _Clock:
    """Adds up the seconds of named steps."""

    seconds: dict[str, float] = field(default_factory=dict)
    begun: float = field(default_factory=time.perf_counter)

    def step(self, name: str) -> None:
        """End a step; the next one begins."""
        now = time.perf_counter()
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self.begun
        self.begun = now


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

    @property
    def name(self) -> str:
        """Of the model."""
        return str(self.model["name"])

    @property
    def bits(self) -> int | None:
        """Length of the codes; None for floats."""
        return self.model.get("bits")

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

    def search(
        self,
        texts: Sequence[str] | None = None,
        images: "Sequence[str | Path | Image.Image] | None" = None,
        *,
        k: int = 5,
        gallery: Images | None = None,
    ) -> SearchResults:
        """Find images by texts or by images, or captions by images.

        Args:
            texts: Find images.
            images: Find captions of the run's tested split; in a ``gallery``, similar images.
            k: Items of each query; a smaller gallery is given as a whole.
            gallery: Images of a folder, by `index`; default: the images of the run's tested split.

        Raises:
            UsageError: Not just one of ``texts`` and ``images`` is given, ``k`` is below 1, or a pair scorer would have
                to compare images with images.
            DataError: No word of a text is known, or a query cannot be read.
        """
        if (texts is None) == (images is None):
            raise UsageError("a search has texts or images as queries; give one of the two")
        if k < 1:
            raise UsageError(f"k is {k}; it starts at 1")
        if texts is not None:
            return self._find_images(_some(texts, "texts"), gallery or self._galleries[0], k)
        assert images is not None
        with image_files(_some(images, "images")) as files:
            if gallery is not None:
                return self._find_similar(files, gallery, k)
            return self._find_captions(files, self._galleries[1], k)

    def index(self, folder: str | Path, *, progress: bool = False) -> FolderIndex:
        """Embed the images of a folder once; only new and changed files are embedded again.

        Args:
            folder: Images may lie in folders below it.
            progress: Show a bar.

        Raises:
            DataError: There is no such folder, or no image in it that can be read.
        """
        return index_folder(Path(folder), self._encoder.encode_images, self._key, progress=progress)

    def _find_images(self, texts: Sequence[str], items: Images, k: int) -> SearchResults:
        unknown = tuple(map(self._texts.unknown_words, texts))
        clock = _Clock()
        queries = self._encoder.encode_texts(texts)
        clock.step("encode")
        first = self._first_k(k, items.ids)
        if self._is_pair_scorer:
            found = best_images(self._encoder.network, items.vectors, queries.vectors, queries.lengths, first)
        else:
            found = self._nearest(queries.vectors, items.vectors, first)
        clock.step("search")
        if self._rule is not None:
            scores = [
                self._encoder.match(items.files(rows), [text]) for text, rows in zip(texts, found.indices, strict=True)
            ]
            found = self._reranked(found, scores, k)
            clock.step("rerank")
        return SearchResults(_image_hits(found, items), unknown, clock.seconds, len(items.ids))

    def _find_captions(self, files: Mapping[str, Path], items: Captions, k: int) -> SearchResults:
        clock = _Clock()
        queries = self._encoder.encode_images(files)
        clock.step("encode")
        first = self._first_k(k, items.ids)
        if self._is_pair_scorer:
            found = best_texts(self._encoder.network, queries, items.vectors, items.lengths, first)
        else:
            found = self._nearest(queries, items.vectors, first)
        clock.step("search")
        if self._rule is not None:
            matched = [
                self._encoder.match({name: path}, [items.texts[row] for row in rows.tolist()])
                for (name, path), rows in zip(files.items(), found.indices, strict=True)
            ]
            found = self._reranked(found, matched, k)
            clock.step("rerank")
        hits = tuple(
            tuple(
                Hit(rank, items.ids[row], score, caption=items.texts[row])
                for rank, (row, score) in enumerate(zip(rows, scores, strict=True), start=1)
            )
            for rows, scores in zip(found.indices.tolist(), found.scores.tolist(), strict=True)
        )
        return SearchResults(hits, (), clock.seconds, len(items.ids))

    def _find_similar(self, files: Mapping[str, Path], items: Images, k: int) -> SearchResults:
        if self._is_pair_scorer:
            raise UsageError(
                f"{self.name} scores an image with a text, so it cannot compare images with images; give a text, or "
                "search the captions of the run"
            )
        clock = _Clock()
        queries = self._encoder.encode_images(files)
        clock.step("encode")
        found = self._nearest(queries, items.vectors, min(k, len(items.ids)))
        clock.step("search")
        return SearchResults(_image_hits(found, items), (), clock.seconds, len(items.ids))

    @cached_property
    def _galleries(self) -> tuple[Images, Captions]:
        return stored_galleries(self.folder, self._stored)

    @cached_property
    def _key(self) -> str:
        """What embeddings of images depend on."""
        return f"{weights_digest(self._encoder.network)} {self._stored.scale_digest} {self._stored.readers['image']}"

    @property
    def _is_pair_scorer(self) -> bool:
        return self.model["similarity"] is None

    @property
    def _rule(self) -> Rule | None:
        """How a re-ranker scores; None of other models."""
        rerank = self.model.get("rerank")
        return None if rerank is None else rerank["rule"]

    def _first_k(self, k: int, ids: Sequence[str]) -> int:
        """Items that the first stage gives: the candidates of a re-ranker, of other models the result."""
        wanted = k if self._rule is None else max(k, int(self.model["rerank"]["k"]))
        return min(wanted, len(ids))

    def _nearest(self, queries: Tensor, items: Tensor, k: int) -> Ranking:
        return nearest(queries, items, k, similarity=self.model["similarity"], bits=self.bits)

    def _reranked(self, found: Ranking, scores: Sequence[np.ndarray], k: int) -> Ranking:
        matched = np.stack(scores)
        matched = matched + found.scores if self._rule == "itm_plus_similarity" else matched
        order = np.argsort(-matched, axis=1, kind="stable")[:, :k]
        return Ranking(np.take_along_axis(matched, order, 1), np.take_along_axis(found.indices, order, 1))


def _image_hits(found: Ranking, items: Images) -> tuple[tuple[Hit, ...], ...]:
    return tuple(
        tuple(
            Hit(rank, items.ids[row], score, path=items.paths[row] if items.paths else None)
            for rank, (row, score) in enumerate(zip(rows, scores, strict=True), start=1)
        )
        for rows, scores in zip(found.indices.tolist(), found.scores.tolist(), strict=True)
    )


def _some(values: Sequence[Any], what: str) -> Sequence[Any]:
    if isinstance(values, str | Path) or not len(values):
        raise UsageError(f"{what} is {values!r}; give a list with at least one")
    return values
