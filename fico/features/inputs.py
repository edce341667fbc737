"""From a data set to what a model is fed."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Literal, get_args

import numpy as np

from fico.datasets.base import FeatureDataset, RetrievalDataset, RetrievalSplit
from fico.errors import UsageError
from fico.features.base import ModelInputs, SplitInputs
from fico.features.beside import Features
from fico.features.images import ImageKind, image_features
from fico.features.texts import bert_states, doc2vec_features
from fico.features.vocabulary import Vocabulary

TextKind = Literal["doc2vec", "words", "bert"]
Texts = np.ndarray | tuple[np.ndarray, ...]


def model_inputs(
    dataset: RetrievalDataset,
    splits: Sequence[str],
    *,
    image: ImageKind,
    text: TextKind,
    min_count: int = 1,
    progress: bool = True,
) -> ModelInputs:
    """Give the features that a model takes, from the data set or beside it, from the cache or made now.

    Whatever is fitted (scales, Doc2Vec, the vocabulary) is fitted on the split ``train``, so that split is read
    even where it is not asked for.

    Args:
        dataset: Any data set.
        splits: Names of the splits wanted.
        image: ``"global"``: one descriptor an image; ``"regions"``: a set of region features.
        text: ``"doc2vec"``: one vector a caption; ``"words"``: word ids;
            ``"bert"``: a frozen BERT's states of each caption's words, from beside the data set.
        min_count: Words of the vocabulary occur at least so often in the training captions.
        progress: Show bars for what takes longer than a moment.

    Raises:
        UsageError: ``image`` or ``text`` is none of these, or no features of a data set that comes as features.
        DataError: A split is empty or unknown, or an image or feature file is broken; see `image_features` and
            `doc2vec_features`.
    """
    _check_kind("image", image, get_args(ImageKind))
    _check_kind("text", text, get_args(TextKind))
    read = {name: dataset.split(name) for name in dict.fromkeys(("train", *splits))}
    images = _own(dataset, read, image) or image_features(dataset.root, read, image, progress=progress)
    vectors = _own(dataset, read, text)
    texts: Mapping[str, Texts]
    vocabulary = None
    if vectors is None and text == "words":
        vocabulary = Vocabulary.build(read["train"].tokens, min_count)
        texts = {name: tuple(map(vocabulary.encode, split.tokens)) for name, split in read.items()}
        text_origin = f"{len(vocabulary.words)} words of the training captions (min_count {min_count})"
    else:
        if vectors is None:
            make = bert_states if text == "bert" else partial(doc2vec_features, progress=progress)
            vectors = make(dataset.root, read)
        texts, text_origin = vectors.rows, vectors.origin
    return ModelInputs(
        splits={name: SplitInputs(images.rows[name], texts[name], read[name].labels) for name in splits},
        sizes=_sizes(read["train"], images.rows["train"], texts["train"], vocabulary),
        origin={"image": images.origin, "text": text_origin},
        bytes_per_image=images.rows["train"][0].nbytes,
        bytes_per_text=round(sum(row.nbytes for row in texts["train"]) / len(texts["train"])),
        vocabulary=vocabulary,
    )


def _check_kind(what: str, got: str, known: Sequence[str]) -> None:
    if got not in known:
        raise UsageError(f"{what} features are {got!r}; give {' or '.join(known)}")


def _own(dataset: RetrievalDataset, splits: Iterable[str], kind: str) -> Features | None:
    """Features of a data set that comes as features; None of one that has images and words."""
    if not isinstance(dataset, FeatureDataset):
        return None
    if kind not in dataset.feature_origins:
        raise UsageError(
            f"{kind} features of {dataset.name} cannot be made, as it has no images and no words, only "
            f"{' and '.join(dataset.feature_origins)} features; take a model that needs no others"
        )
    return Features({name: dataset.features(name, kind) for name in splits}, dataset.feature_origins[kind])


def _sizes(train: RetrievalSplit, images: np.ndarray, texts: Texts, vocabulary: Vocabulary | None) -> dict[str, int]:
    sizes = {"image_dim": images.shape[-1]}
    sizes |= {"regions": images.shape[1]} if images.ndim == 3 else {}
    sizes |= {"text_dim": texts[0].shape[-1]} if vocabulary is None else {"vocab_size": len(vocabulary)}
    return sizes | {
        "train_pairs": len(train.captions),
        "train_images": len(train.image_ids),
        "classes": len(train.classes),
    }
