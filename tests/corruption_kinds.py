"""Every kind of file that the project writes and reads again: how a small one is made, and what its reader gets."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import torch
from PIL import Image

from fico.cli.verify.files import check_run_files
from fico.cli.verify.run import verify_run
from fico.datasets.labels import LabelFile
from fico.datasets.pairs.embedded import EmbeddedImage, stored_images
from fico.datasets.shapes.shapes import Shapes
from fico.embeddings import encoded_shards
from fico.embeddings.encoded_shards import EncodedShards
from fico.embeddings.store import EmbeddingStore
from fico.errors import DataError
from fico.evaluation.evaluate import evaluate, evaluate_scores
from fico.experiment.checkpoints.module import read_checkpoint
from fico.experiment.resume.checkpoint_file import AtomicCheckpoints
from fico.experiment.resume.unfinished import MARK, Unfinished
from fico.external.model_outputs import ModelOutputs
from fico.external.results import results_of
from fico.features import writer
from fico.features.cache import cached_rows
from fico.features.precomputed import Scale, read_precomputed
from fico.features.text.doc2vec import fitted_once, load_inference_state
from fico.features.writer import RowFile
from fico.inference.folder_index import index_folder
from fico.inference.inputs import DOC2VEC, StoredInputs, as_split, write_inputs
from fico.labels.file import write_labels
from fico.networks.checkpoint_io.load import read_checkpoint as read_weights
from fico.report.html.page import write_report
from fico.report.results.collect import query_tables
from fico.report.results.per_query import QUERIES, read_queries
from fico.report.results.schema import read_results, write_results
from fico.run_context import STAMP
from fico.scoring.candidates import candidates
from fico.scoring.matrix import score_matrix
from fico.search.exact import ExactSearch
from fico.search.faiss_index import FaissSearch
from fico.search.hamming.popcount import PopcountSearch
from fico.search.hybrid.hybrid import HybridSearch
from fico.search.sharded.saved import load_index
from fico.search.sharded.shards import ShardedSearch
from fico.types import Correspondence, EncodedBatch
from fico.util.digests import cached as digests
from fico.util.digests.sidecar import write_digest_file

IMAGES, EACH, DIM = 12, 2, 8
PAIRS = Correspondence(np.repeat(np.arange(IMAGES), EACH))
IDS = [f"image{row}" for row in range(IMAGES)], [f"caption{row}" for row in range(IMAGES * EACH)]
METRIC = {"bootstrap": 0, "recall_at": [1, 5]}
WORDS = [f"word{n} of a caption{n % 3}" for n in range(9)]


@dataclass(frozen=True)
class Kind:
    """A file of a small example.

    Args:
        example: Key of `EXAMPLES`, which makes the folder.
        file: Its name in the folder; may hold wildcards.
        read: What a reader gets from the folder; raises `FicoError` where it refuses it.
    """

    example: str
    file: str
    read: Callable[[Path], object]

    @property
    def name(self) -> str:
        """Both."""
        return f"{self.example}: {self.file}"


def rows(count: int, *shape: int) -> np.ndarray:
    """Values that differ."""
    return np.random.default_rng(count).normal(size=(count, *shape)).astype(np.float32)


def encoded() -> EncodedBatch:
    """Rows of a pair scorer."""
    lengths = torch.full((IMAGES * EACH,), 4)
    sides = torch.from_numpy(rows(IMAGES, 3, DIM)), torch.from_numpy(rows(IMAGES * EACH, 4, DIM))
    return EncodedBatch(sides[0], torch.arange(IMAGES), sides[1], torch.arange(IMAGES * EACH), lengths)


class Scorer:
    """Scores a pair; stops before one tile where told."""

    def __init__(self, stops_at: int | None = None) -> None:
        self.tiles, self.stops_at = 0, stops_at

    def __repr__(self) -> str:
        return "Scorer()"

    def score(self, images: torch.Tensor, texts: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Sum of the products."""
        self.tiles += 1
        if self.tiles == self.stops_at:
            raise KeyboardInterrupt
        return torch.einsum("ird,twd->it", images, texts)


def scored(folder: Path, stops_at: int | None = None) -> np.ndarray:
    """The score matrix, from where an earlier call stopped."""
    tiles = {"image_tile": 4, "text_tile": 6, "path": folder / "scores.npy", "keep_journal": True, "progress": False}
    return np.array(score_matrix(Scorer(stops_at), encoded(), **tiles))


def _stopped(folder: Path) -> None:
    try:
        scored(folder, stops_at=8)
    except KeyboardInterrupt:
        assert (folder / "scores.npy.journal").exists()


def _run(folder: Path, kind: str) -> None:
    """A run of an encoder, a pair scorer or a re-ranker."""
    batch = encoded()
    images, texts = (batch.images, batch.texts) if kind == "pair scorer" else (batch.images[:, 0], batch.texts[:, 0])
    store = {"image_ids": IDS[0], "caption_ids": IDS[1], "correspondence": PAIRS, "origin": {"model": kind}}
    EmbeddingStore.write(folder / "embeddings", images, texts, **store)
    model, outputs = {"similarity": "cosine"}, ModelOutputs(PAIRS, images=images.numpy(), texts=texts.numpy())
    if kind == "encoder":
        result = evaluate(images, texts, PAIRS, similarity="cosine", **METRIC)
    elif kind == "pair scorer":
        matrix = scored(folder)
        (folder / "scores.npy.journal").unlink()
        result = evaluate_scores(i2t=matrix, t2i=matrix.T, correspondence=PAIRS, **METRIC)
    else:
        model["rerank"] = {"k": 5, "rule": "itm"}
        first = candidates(images, texts, 5)
        np.save(folder / "rerank.npy", rows(1, len(first.pairs)))
        both = first.filled(np.load(folder / "rerank.npy")[0], "itm")
        result = evaluate_scores(i2t=both.i2t, t2i=both.t2i, correspondence=PAIRS, **METRIC)
    results = results_of(outputs, result, name=kind, split="test", seconds=1.0, options=METRIC, files={})
    results = replace(results, config={"model": model, "metric": METRIC})
    (folder / "config.yaml").write_text("model: x\n")
    write_report(folder / "report.html", results)
    write_results(folder, results, query_tables(result, *IDS))


def compared(folder: Path) -> object:
    """What `fico compare` and `fico report` read of a run."""
    results = read_results(folder)
    tables = read_queries(folder / QUERIES, results.files.get(QUERIES))
    return results.as_json(), [(table.ids, table.images, table.columns) for table in tables.values()]


def verified(folder: Path) -> object:
    """What `fico verify` says."""
    check = check_run_files(folder)
    if check.errors:
        raise DataError(check.errors[0])
    return verify_run(folder), check.absent


def store(folder: Path) -> object:
    """An embedding store."""
    found = EmbeddingStore.load(folder / "embeddings")
    return found.images, found.texts, found.image_ids, found.caption_ids, found.origin, found.bits


def _inputs(folder: Path) -> None:
    train = as_split("shapes", "train", captions=WORDS, tokens=[text.split() for text in WORDS])
    tested = as_split("shapes", "test", images={"a": Path("/a.jpg")}, captions=WORDS[:2], tokens=[["a"], ["b"]])
    readers, is_made = {"image": "descriptors", "text": "doc2vec"}, {"image": True, "text": True}
    scale = Scale(rows(1, 6)[0], np.abs(rows(1, 6)[0]))
    inputs = SimpleNamespace(image_scale=scale, is_made=is_made, origin={"image": "made", "text": "made"})
    write_inputs(folder, train, tested, inputs, readers)  # type: ignore[arg-type]


def inputs(folder: Path) -> object:
    """What `fico search` reads of a run's inputs."""
    found = StoredInputs.load(folder)
    words = load_inference_state(found.checked(DOC2VEC))
    texts = found.train.captions, found.train.tokens, found.captions, found.image_paths
    return found.readers, found.origin, texts, found.scale.mean, found.scale.deviation, words.wv.vectors, words.syn1neg


def _checkpoint(folder: Path) -> None:
    content = {"state_dict": {"weight": torch.from_numpy(rows(20, 4))}, STAMP: {"data": "d", "model": {"name": "x"}}}
    AtomicCheckpoints().save_checkpoint(content, folder / "best.ckpt")


def unfinished(folder: Path) -> object:
    """What the same command finds of a killed run."""
    found = Unfinished.read(folder)
    if found is None:
        raise DataError("the run begins anew")
    return asdict(found)


def _batches(start: int = 0) -> Iterator[EncodedBatch]:
    for number in range(start, 4):
        part, at = torch.from_numpy(rows(4 + number, DIM)), torch.arange(4 + number)
        yield EncodedBatch(part, at, -part, at)


def _encoded(folder: Path) -> None:
    shards = EncodedShards(folder, "key")
    with patch.object(encoded_shards, "FLUSH_SECONDS", 0.0):
        for number, batch in enumerate(_batches()):
            shards.add(batch, float(number))


def encoding(folder: Path) -> object:
    """All rows: those of the shards, and the rest encoded again."""
    shards = EncodedShards(folder, "key")
    parts = [*shards.stored(), *_batches(shards.batches)]
    return [torch.cat([getattr(part, name) for part in parts]) for name in ("images", "texts", "image_ids")]


def _index(folder: Path, name: str) -> None:
    searcher = {
        "exact": lambda: ExactSearch("inner"),
        "popcount": lambda: PopcountSearch(threads=1),
        "faiss": lambda: FaissSearch("HNSW8", search_params={"efSearch": 40}, threads=1),
        "hybrid": lambda: HybridSearch(bits=8, nprobe=2, candidates=40, threads=1, rows_path=folder / "rows.bin"),
        "shards": lambda: ShardedSearch(lambda: ExactSearch("inner"), 3),
    }[name]()
    searcher.add(rows(300, DIM))
    searcher.save(folder / "index")


def found(folder: Path) -> object:
    """What a saved index finds."""
    searcher = load_index(folder / "index")
    result = searcher.search(rows(9, DIM), 10)
    return searcher.name, result.scores, result.indices


def shapes(folder: Path) -> object:
    """A split of the embedded data set, made again where its files are not those that were written."""
    split = Shapes(20, root=folder / "datasets", progress=False).split("test")
    return split.fingerprint, split.captions, split.labels, [path.read_bytes() for path in split.image_paths]


def features(folder: Path) -> object:
    """Rows of the feature cache, made again likewise."""
    return np.array(cached_rows("kind", ["content"], (20, 6), iter([rows(20, 6)])))


def extracted(folder: Path) -> object:
    """Images that lay in an archive, likewise."""
    archive = folder / "archive"
    images = [
        EmbeddedImage(None, f"{n}.png", rows(9 + n, 2).tobytes(), [f"caption {n}"], "train", "row") for n in range(3)
    ]
    listed = stored_images(archive, "settings", lambda: iter(images))
    return [(item.key, item.captions, item.path.read_bytes()) for item in listed]


def doc2vec(folder: Path) -> object:
    """A fit of Doc2Vec, likewise."""
    model = fitted_once(WORDS, progress=False)
    return model.wv.vectors, model.wv.index_to_key


ROWS = {"kind": "vgg19", "ids": tuple(map(str, range(10))), "shape": (3,), "origin": "made", "settings": {}}


def _steps(done: int) -> Iterator[tuple[slice, np.ndarray]]:
    for step in range(done, 5):
        yield slice(2 * step, 2 * step + 2), rows(10, 3)[2 * step : 2 * step + 2]


def _unfinished_rows(folder: Path) -> None:
    stopped = (step for step in _steps(0) if step[0].start < 6)
    file = RowFile(folder, **ROWS)  # type: ignore[arg-type]
    try:
        with patch.object(writer, "SAVED_SECONDS", 0.0):
            file.write(lambda _: stopped, 5)  # rows are missing, which is an error; the part stays
    except DataError:
        assert (folder / "features" / ".vgg19.part.npy").exists()


def precomputed(folder: Path) -> object:
    """Rows that `fico features` wrote."""
    found = read_precomputed(folder, "vgg19", {"test": ROWS["ids"]}, 2)  # type: ignore[dict-item]
    if found is None:
        raise DataError("there are none")
    return np.array(found.rows["test"]), found.origin


def continued(folder: Path) -> object:
    """The same after a kill."""
    RowFile(folder, **ROWS).write(_steps, 5, progress=False)  # type: ignore[arg-type]
    return precomputed(folder)


def _labels(folder: Path) -> None:
    write_labels(folder / "labels.npz", IDS[0], rows(IMAGES, 5) > 0, list("abcde"), {"made_by": "a model"})


def labels(folder: Path) -> object:
    """Labels of `fico label`."""
    file = LabelFile(folder / "labels.npz")
    return file.of(IDS[0]), file.classes, file.origin


def _images(folder: Path) -> None:
    for number in range(3):
        (folder / "photos").mkdir(exist_ok=True)
        Image.new("RGB", (8, 8), (80 * number, 9, 9)).save(folder / "photos" / f"{number}.png")


def searched_folder(folder: Path) -> object:
    """Embeddings of somebody's own images, from the cache."""
    encode = lambda files: torch.stack([torch.tensor([float(path.stat().st_size), 1.0]) for path in files.values()])  # noqa: E731
    images = index_folder(folder / "photos", encode, "key", progress=False).images
    return images.vectors, images.ids


def _weights(folder: Path) -> None:
    from safetensors.torch import save_file

    save_file({"weight": torch.from_numpy(rows(20, 4))}, folder / "x.safetensors", {"model": "x"})
    write_digest_file(folder / "x.safetensors")


def remembered(folder: Path) -> object:
    """Digests of large files, remembered."""
    with patch.object(digests, "CACHED_BYTES", 0):
        return digests.file_digests(sorted((folder / "photos").iterdir()))


def _made(*steps: Callable[[Path], object]) -> Callable[[Path], None]:
    return lambda folder: [step(folder) for step in steps] and None


EXAMPLES: dict[str, Callable[[Path], object]] = {
    **{kind: lambda folder, kind=kind: _run(folder, kind) for kind in ("encoder", "pair scorer", "re-ranker")},
    "checkpoint": _checkpoint,
    "inputs": _inputs,
    "unfinished run": lambda folder: Unfinished(folder, "r", "2026", "k", {"checkpoint": "a", "notes": ["b"]}).write(),
    "unfinished scores": _stopped,
    "unfinished encoding": _encoded,
    **{
        f"index {name}": lambda folder, name=name: _index(folder, name)
        for name in ("exact", "popcount", "faiss", "hybrid", "shards")
    },
    "shapes": shapes,
    "feature cache": features,
    "archive cache": lambda folder: (folder / "archive").write_text("x") and extracted(folder),
    "doc2vec cache": doc2vec,
    "precomputed features": lambda folder: RowFile(folder, **ROWS).write(_steps, 5, progress=False),  # type: ignore[arg-type]
    "unfinished features": _unfinished_rows,
    "labels": _labels,
    "folder of images": lambda folder: _made(_images, searched_folder)(folder),
    "converted weights": _weights,
    "remembered digests": lambda folder: _made(_images, remembered)(folder),
}
RUN = ("results.csv", "report.html", "config.yaml", "results.json", QUERIES, "embeddings/*.safetensors")
KINDS = (
    *(Kind("encoder", file, compared) for file in ("results.json", QUERIES)),
    *(Kind("encoder", f"embeddings/{file}", store) for file in ("manifest.json", "images.*", "texts.*")),
    *(Kind("encoder", file, verified) for file in RUN),
    Kind("pair scorer", "scores.npy", verified),
    Kind("re-ranker", "rerank.npy", verified),
    Kind("checkpoint", "best.ckpt", lambda folder: read_checkpoint(folder / "best.ckpt")),
    *(Kind("inputs", f"inputs/{file}", inputs) for file in ("manifest.json", "train.*", "tested.*", "image*", DOC2VEC)),
    Kind("unfinished run", MARK, unfinished),
    *(Kind("unfinished scores", f"scores.npy.{end}", scored) for end in ("part", "journal")),
    Kind("unfinished encoding", "0-000001.safetensors", encoding),
    *(Kind(f"index {name}", "index", found) for name in ("exact", "popcount", "faiss", "hybrid")),
    Kind("index hybrid", "rows.bin", found),
    *(Kind("index shards", f"index/{file}", found) for file in ("shards.index", "shard1.index")),
    *(Kind("shapes", f"datasets/*/{file}", shapes) for file in ("dataset*", "labels*", "manifest*", "images/*3.jpg")),
    *(Kind("feature cache", f"features/*/{file}", features) for file in ("rows.npy", "manifest.json")),
    *(Kind("archive cache", f"pairs/*/{file}", extracted) for file in ("rows.json", "*.png")),
    Kind("doc2vec cache", "doc2vec/*/model", doc2vec),
    *(Kind("precomputed features", f"features/vgg19.{end}", precomputed) for end in ("npy", "json")),
    *(Kind("unfinished features", f"features/.vgg19.part.{end}", continued) for end in ("npy", "json")),
    Kind("labels", "labels.npz", labels),
    Kind("folder of images", "folders/*.safetensors", searched_folder),
    *(
        Kind("converted weights", f"x.safetensors{end}", lambda folder: read_weights(folder / "x.safetensors"))
        for end in ("", ".sha256")
    ),
    Kind("remembered digests", "digests/*.json", remembered),
)
