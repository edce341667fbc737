"""From a data set to what a model is fed."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args

import numpy as np

from fico.datasets.base import FeatureDataset, RetrievalDataset, RetrievalSplit
from fico.errors import UsageError
from fico.features.base import FeatureReader, ImageReader, ModelInputs, ReadRows, SplitInputs, TextReader
from fico.features.image.descriptor_features import ImageKind, image_features
from fico.features.precomputed import Features, Scale
from fico.features.text.doc2vec_features import bert_states, doc2vec_features
from fico.features.vocabulary import MOST_UNKNOWN, Vocabulary

_LOG = logging.getLogger(__name__)
TextKind = Literal["doc2vec", "words", "bert"]


@dataclass(frozen=True, slots=True, eq=False)
class _Side:
    """What one side of a model is fed, by split."""

    rows: Mapping[str, Any]
    sizes: Mapping[str, int]
    origin: str
    row_bytes: int
    vocabulary: Vocabulary | None = None
    is_made: bool = True
    scale: Scale | None = None
    digest: str = ""


def model_inputs(
    dataset: RetrievalDataset,
    splits: Sequence[str],
    *,
    image: ImageKind | ImageReader | FeatureReader,
    text: TextKind | TextReader | FeatureReader,
    min_count: int = 1,
    progress: bool = True,
) -> ModelInputs:
    """Give the features that a model takes, from the data set, precomputed, from the cache or made now.

    Whatever is fitted (scales, Doc2Vec, the vocabulary) is fitted on the split ``train``, so that split is read
    even where it is not requested.

    Args:
        dataset: Any data set.
        splits: Names of the splits wanted.
        image: ``"global"``: one descriptor an image; ``"regions"``: a set of region features; or a reader of the images
            themselves, such as `fico.features.image.pixels.Pixels`, or of their features, such as
            `fico.features.image.lite0.Lite0`.
        text: ``"doc2vec"``: one vector a caption; ``"words"``: word ids; ``"bert"``: a frozen BERT's states of each
            caption's words, precomputed; or a reader of token ids, such as
            `fico.features.text.tokens.WordPieces`, or of vectors, such as `fico.features.text.tfidf.TfIdf`.
        min_count: Words of the vocabulary occur at least so often in the training captions.
        progress: Show bars for what takes longer than a moment.

    Raises:
        UsageError: ``image`` or ``text`` is none of these, or no features of a data set that comes as features.
        DataError: A split is empty or unknown, or an image or feature file is broken; see `image_features` and
            `doc2vec_features`.
    """
    if isinstance(image, str):
        _check_kind("image", image, get_args(ImageKind))
    if isinstance(text, str):
        _check_kind("text", text, get_args(TextKind))
    read = {name: dataset.split(name) for name in dict.fromkeys(("train", *splits))}
    texts = _texts(dataset, read, text, min_count, progress)  # first: it may refuse a vocabulary, and images take long
    images = _images(dataset, read, image, progress)
    train = read["train"]
    counts = {"train_pairs": len(train.captions), "train_images": len(train.image_ids), "classes": len(train.classes)}
    return ModelInputs(
        splits={name: SplitInputs(images.rows[name], texts.rows[name], read[name].labels) for name in splits},
        sizes={**images.sizes, **texts.sizes, **counts},
        origin={"image": images.origin, "text": texts.origin},
        bytes_per_image=images.row_bytes,
        bytes_per_text=texts.row_bytes,
        vocabulary=texts.vocabulary,
        is_made={"image": images.is_made, "text": texts.is_made},
        image_scale=images.scale,
        digests=tuple(filter(None, (images.digest, texts.digest))),
    )


def _images(
    dataset: RetrievalDataset,
    read: Mapping[str, RetrievalSplit],
    image: ImageKind | ImageReader | FeatureReader,
    progress: bool,
) -> _Side:
    if isinstance(image, FeatureReader):
        _refuse_features_alone(dataset, "pixels")
        return _image_side(image.features(dataset.root, read, progress=progress))
    if not isinstance(image, str):
        _refuse_features_alone(dataset, "pixels")
        rows: dict[str, ReadRows] = {name: image.rows(split, progress=progress) for name, split in read.items()}
        return _Side(rows, image.sizes, image.origin, rows["train"].row_bytes)
    return _image_side(_own(dataset, read, image) or image_features(dataset.root, read, image, progress=progress))


def _image_side(found: Features) -> _Side:
    first = found.rows["train"]
    sizes = {"image_dim": first.shape[-1]} | ({"regions": first.shape[1]} if first.ndim == 3 else {})
    row_bytes = first[0].nbytes
    return _Side(found.rows, sizes, found.origin, row_bytes, None, found.is_made, found.scale, found.digest)


def _texts(
    dataset: RetrievalDataset,
    read: Mapping[str, RetrievalSplit],
    text: TextKind | TextReader | FeatureReader,
    min_count: int,
    progress: bool,
) -> _Side:
    has_words = any(read["train"].tokens)  # of a data set of features too, where only its images are features
    if isinstance(text, FeatureReader):
        if not has_words:
            _refuse_features_alone(dataset, "tokens")
        return _text_side(text.features(dataset.root, read, progress=progress))
    if not isinstance(text, str):
        if not has_words:
            _refuse_features_alone(dataset, "tokens")
        tokens = text.fitted(read["train"])
        rows = {name: tokens.ids(split) for name, split in read.items()}
        return _Side(rows, tokens.sizes, tokens.origin, _mean_bytes(rows["train"]))
    vectors = None if has_words else _own(dataset, read, text)
    if vectors is None and text == "words":
        vocabulary = Vocabulary.build(read["train"].tokens, min_count)
        rows = {name: tuple(map(vocabulary.encode, split.tokens)) for name, split in read.items()}
        origin = f"{len(vocabulary.words)} words of the training captions (min_count {min_count})"
        origin += _unknown_words(rows)
        return _Side(rows, {"vocab_size": len(vocabulary)}, origin, _mean_bytes(rows["train"]), vocabulary)
    if vectors is None:
        make = bert_states if text == "bert" else partial(doc2vec_features, progress=progress)
        vectors = make(dataset.root, read)
    return _text_side(vectors)


def _text_side(vectors: Features) -> _Side:
    first = vectors.rows["train"]
    sizes = {"text_dim": first[0].shape[-1]}
    return _Side(
        vectors.rows, sizes, vectors.origin, _mean_bytes(first), is_made=vectors.is_made, digest=vectors.digest
    )


def _unknown_words(ids: Mapping[str, Sequence[np.ndarray]]) -> str:
    """What the report says of the words that the training captions lack; many of them are warned of."""
    counts = {name: Vocabulary.count_unknown(rows) for name, rows in ids.items() if name != "train"}
    fractions = {name: unknown / max(words, 1) for name, (unknown, words) in counts.items()}
    for name, fraction in fractions.items():
        if fraction > MOST_UNKNOWN:
            _LOG.warning(
                "%.1f %% of the words of split %s do not occur in the training captions; check that both have the "
                "same language and the same cut into words (`tokens` of the split file)",
                100 * fraction,
                name,
            )
    known = ", ".join(f"{name} {fraction:.1%}" for name, fraction in fractions.items() if fraction)
    return f"; unknown words: {known}" if known else ""


def _mean_bytes(texts: Sequence[np.ndarray] | np.ndarray) -> int:
    return round(sum(row.nbytes for row in texts) / len(texts))


def _refuse_features_alone(dataset: RetrievalDataset, kind: str) -> None:
    if isinstance(dataset, FeatureDataset):
        raise UsageError(_cannot_be_made(dataset, kind))


def _check_kind(what: str, got: str, known: Sequence[str]) -> None:
    if got not in known:
        raise UsageError(f"{what} features are {got!r}; give {' or '.join(known)}")


def _own(dataset: RetrievalDataset, splits: Iterable[str], kind: str) -> Features | None:
    """Features of a data set that comes as features; None of one that has images and words."""
    if not isinstance(dataset, FeatureDataset):
        return None
    if kind not in dataset.feature_origins:
        raise UsageError(_cannot_be_made(dataset, kind))
    return Features({name: dataset.features(name, kind) for name in splits}, dataset.feature_origins[kind])


def _cannot_be_made(dataset: FeatureDataset, kind: str) -> str:
    return (
        f"{kind} features of {dataset.name} cannot be made, as it has no images and no words, only "
        f"{' and '.join(dataset.feature_origins)} features; take a model that needs no others"
    )
