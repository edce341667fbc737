"""New images and captions in the form that a run's model reads."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from fico.errors import DataError
from fico.features.image.descriptor_features import ImageKind, describe
from fico.features.text.authors_vocabulary import AuthorsWords
from fico.features.vocabulary import Vocabulary
from fico.images.decode import open_rgb
from fico.inference.frozen import Encode, image_encoder, text_encoder
from fico.inference.inputs import DOC2VEC, StoredInputs, as_split
from fico.inference.network import build

if TYPE_CHECKING:
    from PIL import Image

_FILES_OF_VOCABULARY = ("vocab", "model", "source")  # arguments of text readers that come with their own vocabulary


class ImageInputs:
    """Reads image files as the run's model does.

    Args:
        stored: What the run stores of its inputs.
    """

    def __init__(self, stored: StoredInputs) -> None:
        self._stored, self._node = stored, stored.readers["image"]

    def rows(self, images: Mapping[str, Path], *, progress: bool = False) -> list[np.ndarray]:
        """One array for each image.

        Args:
            images: Files by the name that messages give them.
            progress: Show a bar.

        Raises:
            DataError: A file is missing or broken (it is named), or the run's features cannot be made of new images.
        """
        split = as_split("search", "images", images=images)
        if hasattr(self._reader, "features"):  # a frozen network, which is not fitted
            return list(self._frozen(split))
        if self._reader is not None:
            rows = self._reader.rows(split, progress=progress)
            return [np.asarray(rows[row]) for row in range(len(images))]
        if not self._stored.is_made["image"]:
            raise DataError(
                f"the model reads precomputed image features ({self._stored.origin['image']}), which cannot be made of "
                "new images here; search the run's own images, or train with features that can"
            )
        return list(describe(split, self._node, self._stored.scale, progress=progress))

    @cached_property
    def _reader(self) -> Any:
        if isinstance(self._node, str):
            if self._node not in get_args(ImageKind):
                raise DataError(f"the model reads {self._node!r} features of images, which this release cannot make")
            return None
        return build(self._node)

    @cached_property
    def _frozen(self) -> Encode:
        return image_encoder(self._reader, self._stored.folder)


class TextInputs:
    """Reads texts as the run's model does; what is fitted is fitted again on the stored training captions.

    Args:
        stored: What the run stores of its inputs.
        model: The ``model`` node of its config.
    """

    def __init__(self, stored: StoredInputs, model: Mapping[str, Any]) -> None:
        self._stored = stored
        self._node = stored.readers["text"]
        self._vocabulary = model.get("vocabulary")
        has_own = isinstance(self._node, Mapping) and any(self._node.get(key) for key in _FILES_OF_VOCABULARY)
        self._is_fitted = not (has_own or self._vocabulary)

    def unknown_words(self, text: str) -> tuple[str, ...]:
        """Words that do not occur in the training captions; none where the vocabulary is not fitted on these.

        Raises:
            DataError: The text has no word, or none of its words is known.
        """
        words = self._stored.words(text)
        if not words:
            raise DataError(f"{_short(text)} has no word; describe a picture in a few words")
        if not self._is_fitted:
            return ()
        unknown = tuple(dict.fromkeys(word for word in words if word not in self._stored.known_words))
        if len(unknown) == len(set(words)):
            known = sorted(self._stored.known_words, key=lambda word: (-len(word), word))[:5]
            raise DataError(
                f"no word of {_short(text)} occurs in the captions that the model was trained on; use some of their "
                f"{len(self._stored.known_words)} words, such as {', '.join(known)}"
            )
        return unknown

    def load(self) -> None:
        """Open what reads texts, so that the first text is encoded as fast as the next."""
        if hasattr(self._reader, "features"):
            self._frozen  # noqa: B018
        elif self._reader is None and self._node == "words":
            self._words  # noqa: B018
        elif self._reader is None and self._node == "doc2vec" and self._stored.is_made["text"]:
            self._doc2vec  # noqa: B018

    def rows(self, texts: Sequence[str]) -> Sequence[np.ndarray]:
        """Word ids or features of each text.

        Raises:
            DataError: A text is empty, or the run's features cannot be made of new texts.
        """
        empty = [row for row, text in enumerate(texts, start=1) if not text.strip()]
        if empty:
            raise DataError(f"text {empty[0]} of {len(texts)} is empty; give at least one word")
        split = as_split("search", "texts", captions=texts, tokens=list(map(self._stored.words, texts)))
        if hasattr(self._reader, "features"):
            return self._frozen(split)
        if self._reader is not None:
            return self._reader.ids(split)  # type: ignore[no-any-return]
        if not self._stored.is_made["text"]:
            raise DataError(
                f"the model reads precomputed text features ({self._stored.origin['text']}), which cannot be made of "
                "new texts here; train with features that can"
            )
        if self._node == "words":
            return [self._words.encode(words) for words in split.tokens]
        if self._node == "doc2vec":
            from fico.features.text.doc2vec import infer

            return list(infer(self._doc2vec, texts, progress=False))
        raise DataError(f"the model reads {self._node!r} features of texts, which this release cannot make")

    @cached_property
    def _reader(self) -> Any:
        if self._vocabulary:
            reader: Any = AuthorsWords(self._vocabulary)
        elif isinstance(self._node, str):
            return None
        else:
            reader = build(self._node)
        if hasattr(reader, "features"):
            return reader
        fitted = reader.fitted(self._stored.train)
        if hasattr(fitted, "most_unknown"):
            fitted.most_unknown = 1.0  # a query has few words; the unknown ones are named instead
        return fitted

    @cached_property
    def _frozen(self) -> Encode:
        return text_encoder(self._reader, self._stored.train, self._stored.folder)

    @cached_property
    def _words(self) -> Vocabulary:
        return Vocabulary.build(self._stored.train.tokens)

    @cached_property
    def _doc2vec(self) -> Any:
        from fico.features.text.doc2vec import load_inference_state

        return load_inference_state(self._stored.checked(DOC2VEC))


@contextmanager
def image_files(images: "Sequence[str | Path | Image.Image]") -> Iterator[dict[str, Path]]:
    """Files of images, by name; those that are open already are written to a folder that is removed afterwards.

    Raises:
        DataError: An image that is open already holds floats outside of 0 to 1.
    """
    with tempfile.TemporaryDirectory() as folder:
        files = {}
        for number, image in enumerate(images, start=1):
            name = f"{number} of {len(images)}"
            if isinstance(image, str | Path):
                files[name] = Path(image)
            else:
                files[name] = Path(folder) / f"{number}.png"
                open_rgb(image, name).save(files[name])
        yield files


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
