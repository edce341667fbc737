"""Every reader of the project with a small valid input of its own, for `fuzz.py`."""

import csv
import json
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Reader:
    """How to make a valid input, and how to read it.

    Args:
        make: Writes the files into an empty folder.
        read: Reads that folder; gives values that can be compared.
        is_sealed: The files carry digests, so that a changed file must be refused or read as before.
    """

    make: Callable[[Path], None]
    read: Callable[[Path], Any]
    is_sealed: bool = False


def rows(count: int = 6, width: int = 8) -> np.ndarray:
    return np.random.default_rng(count).normal(size=(count, width)).astype(np.float32)


def codes(count: int = 6, width: int = 64) -> np.ndarray:
    return np.where(rows(count, width) > 0, 1.0, -1.0).astype(np.float32)


def labels(count: int = 6) -> np.ndarray:
    return np.random.default_rng(9).random((count, 3)) < 0.5


def array_file(suffix: str) -> Reader:
    def make(folder: Path) -> None:
        arrays, path = {"a": rows(), "labels": labels().astype(np.uint8), "caption_to_image": np.arange(6) // 2}, folder
        if suffix == ".npy":
            np.save(path / "a.npy", arrays["a"])
        elif suffix == ".npz":
            np.savez_compressed(path / "a.npz", **arrays)
        elif suffix == ".safetensors":
            from safetensors.numpy import save_file

            save_file(arrays, path / "a.safetensors")
        elif suffix == ".mat":
            from scipy.io import savemat

            savemat(path / "a.mat", arrays)
        else:
            import h5py

            with h5py.File(path / "a.h5", "w") as file:
                for name, array in arrays.items():
                    file[name] = array

    def read(folder: Path) -> Any:
        from fico.formats.arrays import load_array, load_labels, load_pairs

        path = str(folder / f"a{suffix}")
        if suffix == ".npy":
            return np.asarray(load_array(path))
        return load_array(f"{path}:a"), load_labels(path), load_pairs(path)

    return Reader(make, read)


def pairs_json(folder: Path) -> None:
    (folder / "pairs.json").write_text(json.dumps({"caption_to_image": [0, 0, 1, 2, 2]}))


def read_pairs_json(folder: Path) -> Any:
    from fico.formats.arrays import load_pairs

    return load_pairs(str(folder / "pairs.json"))


def positives(folder: Path) -> None:
    (folder / "p.json").write_text(json.dumps({"image_rows": [0, 0, 1, 2], "caption_rows": [0, 1, 1, 2]}))
    (folder / "p.csv").write_text("image,caption\na,x\nb,y\nc,z\n")
    (folder / "p.txt").write_text("a 0 x 1\nb 0 y 1\nc 0 z 1\n")
    np.savez(folder / "p.npz", image_rows=[0, 1, 2], caption_rows=[0, 1, 2])


def read_positives(folder: Path) -> Any:
    from fico.formats.positives import load_positives

    return [load_positives(folder / f"p{suffix}", "abc", "xyz") for suffix in (".json", ".csv", ".txt", ".npz")]


def trec(folder: Path) -> None:
    (folder / "qrels").write_text("i0 0 c0 1\ni0 0 c1 1\ni1 0 c2 1\n")
    (folder / "i2t").write_text("i0 Q0 c0 1 0.9 a\ni0 Q0 c2 2 0.5 a\ni1 Q0 c1 1 0.2 a\n")
    (folder / "t2i").write_text("c0 Q0 i0 1 0.9 a\nc1 Q0 i1 1 0.5 a\nc2 Q0 i1 1 0.2 a\n")


def read_trec(folder: Path) -> Any:
    from fico.formats.trec import read_trec

    return read_trec(folder / "i2t", folder / "t2i", folder / "qrels").i2t


def picture(path: Path, shade: int = 90) -> None:
    from PIL import Image

    path.parent.mkdir(exist_ok=True, parents=True)
    Image.new("RGB", (24, 16), (shade, 90, 20)).save(path)


def karpathy(folder: Path) -> None:
    images = [
        {
            "filename": f"img_{row}.jpg", "imgid": row, "split": split,
            "sentences": [{"raw": f"thing {row}", "tokens": ["thing", str(row)], "imgid": row, "sentid": row}],
        }
        for row, split in enumerate(("train", "train", "val", "test", "test"))
    ]  # fmt: skip
    (folder / "dataset_tiny.json").write_text(json.dumps({"dataset": "tiny", "images": images}))
    for row in range(5):
        picture(folder / "images" / f"img_{row}.jpg", 40 * row)
    np.savez(folder / "labels.npz", image_ids=[f"img_{row}" for row in range(5)], labels=np.eye(5, 4, dtype=np.uint8))


def splits_of(name: str, **options: Any) -> Callable[[Path], Any]:
    def read(folder: Path) -> Any:
        from fico.datasets import load_dataset

        dataset = load_dataset(name, root=folder, **options)
        return [(split.image_ids, split.captions, split.labels) for split in map(dataset.split, ("train", "test"))]

    return read


def flickr(folder: Path) -> None:
    lines = [f"{image}.jpg#{number}\tPhoto {image} , seen ." for image in (10, 20, 30) for number in range(2)]
    (folder / "results_20130124.token").write_text("\n".join(lines) + "\n")
    for split, image in (("train", "20"), ("val", "30.jpg"), ("test", "10")):
        (folder / f"{split}.txt").write_text(image + "\n")


PAIRS = [
    ("a.jpg", "a dog", "train"),
    ("a.jpg", "ein Hund", "train"),
    ("b.jpg", "two ducks", "val"),
    ("c.jpg", "x", "test"),
]


def pairs_table(kind: str) -> Reader:
    def make(folder: Path) -> None:
        for name in "abc":
            picture(folder / f"{name}.jpg")
        records = [dict(zip(("image", "caption", "split"), pair, strict=True)) for pair in PAIRS]
        if kind in ("csv", "tsv"):
            with (folder / f"pairs.{kind}").open("w", newline="") as file:
                writer = csv.DictWriter(file, ["image", "caption", "split"], delimiter="\t" if kind == "tsv" else ",")
                writer.writeheader()
                writer.writerows(records)
        elif kind == "jsonl":
            (folder / "pairs.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
        elif kind == "json":
            (folder / "pairs.json").write_text(json.dumps(records))
        else:
            import pyarrow
            from pyarrow.parquet import write_table

            write_table(pyarrow.Table.from_pylist(records), folder / "pairs.parquet")

    return Reader(make, splits_of("pairs"))


def webdataset(folder: Path) -> None:
    picture(folder / "a.jpg")
    for part in ("train", "test"):
        with tarfile.open(folder / f"{part}.tar", "w") as archive:
            for name in ("x", "y"):
                (folder / "caption.txt").write_text(f"a thing {name}")
                archive.add(folder / "a.jpg", f"{name}.jpg")
                archive.add(folder / "caption.txt", f"{name}.txt")
    (folder / "a.jpg").unlink()
    (folder / "caption.txt").unlink()


def precomp(folder: Path) -> None:
    for part, count in {"train": 3, "dev": 2, "test": 2}.items():
        np.save(folder / f"{part}_ims.npy", np.random.default_rng(1).normal(size=(count, 2, 3)).astype(np.float32))
        (folder / f"{part}_ids.txt").write_text("\n".join(str(7 * row) for row in range(count)) + "\n")
        (folder / f"{part}_caps.txt").write_text("\n".join(f"thing {row}" for row in range(5 * count)) + "\n")


def read_precomp(folder: Path) -> Any:
    from fico.datasets import load_dataset

    dataset = load_dataset("precomp", root=folder)
    return [(dataset.split(name).captions, dataset.features(name, "regions")) for name in ("train", "test")]


def feature_set(suffix: str) -> Reader:
    def make(folder: Path) -> None:
        named = {"XAll": rows(20), "YAll": rows(20, 5), "LAll": labels(20).astype(np.uint8)}
        if suffix == "npz":
            np.savez(folder / "f.npz", **named)
        else:
            from scipy.io import savemat

            savemat(folder / "f.mat", {name: array.astype(float) for name, array in named.items()})

    sides = {side: f"f.{suffix}:{key}" for side, key in zip(
        ("image_features", "text_features", "labels"), ("XAll", "YAll", "LAll"), strict=True
    )}  # fmt: skip
    return Reader(make, splits_of("features", **sides, queries=4, train=10, items=20))


def wikipedia(folder: Path) -> None:
    made: dict[str, np.ndarray] = {"class_names": np.array(("art", "sport"))}
    for part, count in (("train", 20), ("test", 8)):
        made[f"label_{part}"] = np.arange(count) % 2
        for side, width in (("image", 6), ("text", 4)):
            made[f"{side}_{part}"] = rows(count, width)
            made[f"{side}_id_{part}"] = np.array([f"{side}-{part}-{row}" for row in range(count)])
    np.savez(folder / "wikipedia_2866.npz", **made)


def store(folder: Path) -> None:
    from fico.embeddings.store import EmbeddingStore
    from fico.types import Correspondence

    EmbeddingStore.write(
        folder / "s", rows(), rows(8), image_ids=tuple("abcdef"), caption_ids=tuple("stuvwxyz"),
        correspondence=Correspondence(np.arange(8) % 6), origin={"model": "x"}, labels=labels(),
    )  # fmt: skip


def read_store(folder: Path) -> Any:
    from fico.embeddings.store import EmbeddingStore

    found = EmbeddingStore.load(folder / "s")
    return found.images, found.texts, found.image_ids, found.caption_ids, found.labels


def index(kind: str) -> Reader:
    def make(folder: Path) -> None:
        from fico.search.exact import ExactSearch
        from fico.search.faiss_index import FaissSearch
        from fico.search.hamming.popcount import PopcountSearch
        from fico.search.hybrid.hybrid import HybridSearch
        from fico.search.sharded.shards import ShardedSearch

        made: Any = {
            "exact": lambda: ExactSearch("cosine"),
            "faiss": lambda: FaissSearch("Flat"),
            "popcount": lambda: PopcountSearch(64),
            "hybrid": lambda: HybridSearch(bits=64, lists=2),
            "sharded": lambda: ShardedSearch(lambda: ExactSearch("cosine"), 2),
        }[kind]()
        made.add(codes(12) if kind == "popcount" else rows(12))
        made.save(folder / "index")

    def read(folder: Path) -> Any:
        from fico.search.sharded.saved import load_index

        found = load_index(folder / "index").search(codes(3) if kind == "popcount" else rows(3), 4)
        return found.scores, found.indices

    return Reader(make, read, is_sealed=True)


def checkpoint(folder: Path) -> None:
    import torch

    torch.save({"state_dict": {"w": torch.arange(6.0)}, "fico": {"data": "x"}}, folder / "last.ckpt")


def read_checkpoint(folder: Path) -> Any:
    from fico.experiment.checkpoints.module import load_checkpoint

    return load_checkpoint(folder / "last.ckpt")["state_dict"]


def weights(suffix: str) -> Reader:
    def make(folder: Path) -> None:
        import torch
        from safetensors.torch import save_file

        state = {"layer.weight": torch.arange(6.0)}
        if suffix == "safetensors":
            save_file(state, folder / "w.safetensors")
        else:
            torch.save({"model": state}, folder / "w.pth")

    def read(folder: Path) -> Any:
        from fico.networks.checkpoint_io.load import read_checkpoint

        return read_checkpoint(folder / f"w.{suffix}")

    return Reader(make, read)


def vocabulary(folder: Path) -> None:
    from fico.features.vocabulary import Vocabulary

    Vocabulary(("a", "dog", "tram")).save(folder / "v.json")


def read_vocabulary(folder: Path) -> Any:
    from fico.features.vocabulary import Vocabulary

    return Vocabulary.load(folder / "v.json").words


def read_picture(folder: Path) -> Any:
    from fico.images.decode import open_rgb

    return [np.asarray(open_rgb(folder / f"a.{suffix}")).shape for suffix in ("jpg", "png", "gif", "tif")]


def pictures(folder: Path) -> None:
    for suffix in ("jpg", "png", "gif", "tif"):
        picture(folder / f"a.{suffix}")


def regions(folder: Path) -> None:
    import base64

    coded = base64.b64encode(rows(2, 4).tobytes()).decode()
    (folder / "r.tsv").write_text("".join(f"{name}\t9\t9\t2\t{coded}\t{coded}\n" for name in "ab"))
    np.savez(folder / "a.npz", feat=rows(2, 4))
    np.save(folder / "r.npy", np.stack([rows(2, 4)] * 3))


def read_regions(folder: Path) -> Any:
    from fico.features.image.region_files import read_npy, read_npz_folder, read_tsv

    return [*read_tsv(folder / "r.tsv"), *read_npz_folder(folder), *read_npy(folder / "r.npy", "abc")]


def queries(folder: Path) -> None:
    import gzip

    text = "query,direction,first_rank,AP@N,R@1,image\na,i2t,1,1,1,\nx,t2i,2,0.5,0,a\ny,t2i,1,1,1,a\n"
    (folder / "per_query.csv.gz").write_bytes(gzip.compress(text.encode(), mtime=0))


def read_queries(folder: Path) -> Any:
    from fico.report.results.per_query import read_queries

    return read_queries(folder / "per_query.csv.gz")


def results(folder: Path) -> None:
    plain = {
        "schema_version": 1, "status": "finished", "name": "x", "seed": 0, "started": "2026", "seconds": 1.0,
        "commit": "", "key": "", "notes": [],
        "model": {"name": "a", "family": "fine", "size": "tiny", "dim": 4, "bits": None, "dtype": "float32",
                  "query_time_attention": False},
        "data": {"name": "d", "split": "test", "images": 2, "captions": 4, "labels": 0, "fingerprint": "f"},
        "metrics": {"test/instance/i2t/R@1": {"value": 0.5, "low": 0.2, "high": 0.7, "queries": 2, "definition": ""}},
        "efficiency": {"encode_seconds": 1.0}, "hubness": {},
        "search": [{"index": "flat", "queries": 2, "items": 2, "build_seconds": 0.1, "search_seconds": 0.1,
                    "index_bytes": 9, "top1_in_k": {"1": 1.0}, "overlap_at_k": {"1": 1.0}}],
        "versions": {}, "hardware": {}, "config": {},
    }  # fmt: skip
    (folder / "results.json").write_text(json.dumps(plain))


def read_results(folder: Path) -> Any:
    from fico.report.results.schema import read_results

    return read_results(folder).as_json()


def stored_inputs(folder: Path) -> None:
    import gzip

    (folder / "inputs").mkdir()
    manifest = {"schema_version": 1, "readers": {}, "origin": {}, "is_made": {}}
    (folder / "inputs" / "manifest.json").write_text(json.dumps(manifest))
    content = {"dataset": "d", "name": "test", "captions": ["a"], "tokens": [["a"]], "image_paths": ["x.jpg"]}
    for name in ("train.json.gz", "tested.json.gz"):
        (folder / "inputs" / name).write_bytes(gzip.compress(json.dumps(content).encode()))


def read_stored_inputs(folder: Path) -> Any:
    from fico.inference.inputs import StoredInputs

    found = StoredInputs.load(folder)
    return found.captions, found.words("a"), found.image_paths, found.train.captions, found.tested_name


READERS = {
    **{f"array{suffix}": array_file(suffix) for suffix in (".npy", ".npz", ".safetensors", ".mat", ".h5")},
    "pairs.json": Reader(pairs_json, read_pairs_json),
    "positives": Reader(positives, read_positives),
    "trec": Reader(trec, read_trec),
    "karpathy": Reader(karpathy, splits_of("karpathy")),
    "flickr30k": Reader(flickr, splits_of("flickr30k")),
    **{f"pairs {kind}": pairs_table(kind) for kind in ("csv", "tsv", "jsonl", "json", "parquet")},
    "pairs webdataset": Reader(webdataset, splits_of("pairs")),
    "precomp": Reader(precomp, read_precomp),
    **{f"features {suffix}": feature_set(suffix) for suffix in ("npz", "mat")},
    "wikipedia": Reader(wikipedia, splits_of("wikipedia")),
    "embedding store": Reader(store, read_store),
    **{f"index {kind}": index(kind) for kind in ("exact", "faiss", "popcount", "hybrid", "sharded")},
    "checkpoint": Reader(checkpoint, read_checkpoint),
    **{f"weights {suffix}": weights(suffix) for suffix in ("safetensors", "pth")},
    "vocabulary": Reader(vocabulary, read_vocabulary),
    "images": Reader(pictures, read_picture),
    "regions": Reader(regions, read_regions),
    "per_query": Reader(queries, read_queries),
    "results": Reader(results, read_results),
    "stored inputs": Reader(stored_inputs, read_stored_inputs),
}
