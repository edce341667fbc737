"""Doc2Vec vectors of captions, fitted on training captions and the same in every process."""

import hashlib
import json
import zlib
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from random import Random

import numpy as np
from jaxtyping import Float32
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from fico.errors import DataError
from fico.features.text.treebank import tokenize
from fico.util.atomic import atomic_write
from fico.util.cache import cache_dir
from fico.util.cached_folder import ensure_folder
from fico.util.optional import requires_extra
from fico.util.progress import track

with requires_extra("text"):
    from gensim.matutils import zeros_aligned
    from gensim.models.doc2vec import Doc2Vec, TaggedDocument, train_document_dm

FIT_VERSION = 2  # raise it when the fit changes
DIM = 300
WINDOW = 5
ROUNDS = 10
PASSES_PER_ROUND = 10
INFERENCE_STEPS = 10


def fit(captions: Sequence[str], *, seed: int = 0, progress: bool = True) -> Doc2Vec:
    """Fit PV-DM on captions: 300 values, window 5, every word, 5 negatives, 100 passes in 10 rounds.

    The learning rate falls from 0.025 to 0.0001 within each round and starts again in the next.

    Args:
        captions: Training captions; each is a document.
        seed: Of start values, negatives, subsampling and the order of documents.
        progress: Show a bar.

    Source:
        Le and Mikolov, ICML 2014; settings of FiCo-ITR's feature toolkit.

    Differs:
        The toolkit fits on the captions that it encodes, those of the test too, with four workers and an order
        of documents without seed, so that it never gives the same vectors twice.
    """
    documents = [TaggedDocument(tokenize(caption), [row]) for row, caption in enumerate(captions)]
    # One worker: with more, the order of their updates is left to chance.
    model = Doc2Vec(dm=1, vector_size=DIM, window=WINDOW, min_count=1, workers=1, seed=seed)
    model.build_vocab(documents)
    order = Random(seed)
    for _ in track(range(ROUNDS), ROUNDS, "Fitting Doc2Vec", is_shown=progress):
        order.shuffle(documents)
        model.train(documents, total_examples=len(documents), epochs=PASSES_PER_ROUND)
    return model


def fitted_once(captions: Sequence[str], *, seed: int = 0, progress: bool = True) -> Doc2Vec:
    """As `fit`, from the user's cache where the same captions were fitted before.

    A fit on all captions of COCO takes hours, and a killed run shall not begin it again.

    Args:
        captions: As for `fit`.
        seed: As for `fit`.
        progress: Show a bar.
    """
    content = [FIT_VERSION, version("gensim"), seed, *captions]
    folder = cache_dir() / "doc2vec" / hashlib.sha256("\n".join(map(str, content)).encode()).hexdigest()[:24]

    def write(work: Path) -> None:
        fit(captions, seed=seed, progress=progress).save(str(work / "model"))

    ensure_folder(folder, write)
    model: Doc2Vec = Doc2Vec.load(str(folder / "model"))  # a pickle, but of the user's own cache
    return model


def infer(
    model: Doc2Vec, captions: Sequence[str], *, seed: int = 0, progress: bool = True
) -> Float32[np.ndarray, "captions 300"]:
    """Infer a vector of each caption in 10 steps, whatever the other captions and the process are.

    Args:
        model: Fitted.
        captions: Any text. One without a known word gets a small vector that depends on its words only.
        seed: The model's generator starts from it for each caption.
        progress: Show a bar.

    Returns:
        Vectors of no particular length, as the toolkit stores them.

    Differs:
        gensim's `infer_vector` starts from Python's hash of the text, which differs in every process, and goes
        on with one generator, so that the order of captions matters. Here the start is a checksum of the text.
    """
    rows = np.empty((len(captions), DIM), dtype=np.float32)
    for row, caption in enumerate(track(captions, len(captions), "Inferring Doc2Vec", is_shown=progress)):
        model.random.seed(seed)
        rows[row] = _infer_one(model, tokenize(caption))
    return rows


def _infer_one(model: Doc2Vec, words: list[str]) -> Float32[np.ndarray, " 300"]:
    start = np.random.default_rng(zlib.crc32(" ".join(words).encode()))
    vector: np.ndarray = ((start.random((1, DIM)) - 0.5) / DIM).astype(np.float32)
    work, hidden = np.zeros(model.layer1_size, dtype=np.float32), zeros_aligned(model.layer1_size, dtype=np.float32)
    for alpha in np.linspace(model.alpha, model.min_alpha, INFERENCE_STEPS):
        train_document_dm(
            *(model, words, [0], alpha, work, hidden),
            learn_words=False,
            learn_hidden=False,
            doctag_vectors=vector,
            doctags_lockf=np.ones(1, dtype=np.float32),
        )
    return vector.reshape(DIM)


def save_inference_state(model: Doc2Vec, path: Path) -> None:
    """Write what `infer` needs of a fitted model, without pickle; the vectors of its documents are left out."""
    counts = model.wv.expandos["count"]
    words = np.frombuffer(json.dumps(model.wv.index_to_key).encode(), dtype=np.uint8)
    arrays = {"words": words, "counts": counts, "vectors": model.wv.vectors, "negatives": model.syn1neg}
    with atomic_write(path) as temporary:
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, temporary)


def load_inference_state(path: Path) -> Doc2Vec:
    """A model that infers the same vectors as the one that was saved.

    Raises:
        DataError: The file is missing or damaged.
    """
    try:
        arrays = load_file(path)
        words = json.loads(arrays["words"].tobytes())
        model = Doc2Vec(dm=1, vector_size=DIM, window=WINDOW, min_count=1, workers=1, sorted_vocab=0)
        model.build_vocab_from_freq(dict(zip(words, arrays["counts"].tolist(), strict=True)))
        model.wv.vectors, model.syn1neg = arrays["vectors"], arrays["negatives"]
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise DataError(f"{path} is missing or damaged ({error}); train the run again") from error
    return model
