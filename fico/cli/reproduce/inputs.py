"""Which of the paper's weights and data sets are there, by the names that the docs list."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fico.errors import UsageError

SUFFIXES = (".safetensors", ".pth", ".pt", ".pth.tar", ".t7", "")  # the last: a folder in the form of transformers
DATASETS = {"flickr30k": (1000, 128), "coco": (5000, 256)}  # images of the test split, candidates of a query
# Rows of the paper's tables: name of the weights, then the model of the bench and what else it takes.
ROWS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "ucch": ("ucch", "ucch", ()),
    "dadh": ("dadh", "dadh", ()),
    "adv(64bit)": ("adv_64", "adv", ("model.bits=64", "model.inputs.text=bert")),
    "adv(2048bit)": ("adv_2048", "adv", ("model.bits=2048", "model.inputs.text=bert")),
    "vsrn": ("vsrn", "vsrn", ()),
    "beit3": ("beit3", "beit3", ()),
    "xvlm(nf)": ("xvlm", "xvlm_nf", ()),
    "blip2(nf)": ("blip2", "blip2_nf", ()),
    "scan": ("scan", "scan", ()),
    "imram": ("imram", "imram", ()),
    "xvlm": ("xvlm", "xvlm", ()),
    "blip2": ("blip2", "blip2", ()),
}
# Authors' options of a model on one data set, which shapes of weights follow.
OPTIONS = {
    ("vsrn", "flickr30k"): (
        "model.module.network.normalise_regions=false",
        "model.module.network.final_batch_norm=true",
    )
}
# What a model needs besides its weights: endings of the file beside them, and the key of the run.
WORDS = ("-vocab.json", "-vocab.pkl")
BESIDE = {
    "scan": (WORDS, "model.vocabulary"),
    "imram": (WORDS, "model.vocabulary"),
    "vsrn": (WORDS, "model.vocabulary"),
    "xvlm": (("-vocab.txt",), "model.inputs.text.vocab"),
    "blip2": (("-vocab.txt",), "model.inputs.text.vocab"),  # a folder has its own
    "beit3": ((".spm",), "model.inputs.text.model"),
}
# Precomputed features of the data set that the weights were trained on.
FEATURES = {
    "ucch": ("vgg19", "doc2vec"),
    "dadh": ("vgg19", "doc2vec"),
    "adv": ("regions", "bert"),
    "vsrn": ("regions",),
    "scan": ("regions",),
    "imram": ("regions",),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the paper's tables on one data set.

    Args:
        name: Of the row, as the paper's tables here have it.
        model: Option of ``model=``.
        dataset: Option of ``dataset=``.
        overrides: Of ``run.py``, the weights and the data among them.
        missing: Names of files that are not there; empty where the row can be measured.
    """

    name: str
    model: str
    dataset: str
    overrides: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def folder(self) -> str:
        """Name of the run's folder."""
        return f"{ROWS[self.name][0] if self.model == 'adv' else self.model}-{self.dataset}"

    @property
    def images(self) -> int:
        """Of the test split."""
        return DATASETS[self.dataset][0]

    @property
    def candidates(self) -> int:
        """Of each query, which re-rankers score."""
        return DATASETS[self.dataset][1]


def find_rows(weights: Path, data: Path) -> list[Row]:
    """All rows of the paper's tables, with what they need and lack.

    Args:
        weights: Folder of files ``MODEL-DATASET.SUFFIX``, or ``MODEL.SUFFIX`` for both data sets.
        data: Folder with the folders ``flickr30k`` and ``coco``.

    Raises:
        UsageError: One of the two is no folder.
    """
    for option, folder in (("--weights", weights), ("--data", data)):
        if not folder.is_dir():
            raise UsageError(f"{option} {folder} is not a folder; give the one with the files that the docs list")
    return [_row(name, dataset, weights, data) for dataset in DATASETS for name in ROWS]


def _row(name: str, dataset: str, weights: Path, data: Path) -> Row:
    stem, model, more = ROWS[name]
    overrides = [f"model={model}", f"dataset={dataset}", *more, *OPTIONS.get((model, dataset), ())]
    missing = list(_missing_data(data / dataset, model))
    if not missing:
        overrides.append(f"dataset.root={(data / dataset).resolve()}")
    found = _first(weights, stem, dataset, SUFFIXES)
    if found is None:
        missing.append(f"{weights.name}/{stem}-{dataset}.safetensors")
    else:
        overrides.append(f"model.weights={found.resolve()}")
    if stem in BESIDE and not (found is not None and found.is_dir()):
        endings, key = BESIDE[stem]
        file = _first(weights, stem, dataset, endings)
        if file is None:
            missing.append(f"{weights.name}/{stem}-{dataset}{endings[0]}")
        else:
            overrides.append(f"{key}={file.resolve()}")
    return Row(name, model, dataset, tuple(overrides), tuple(missing))


def _missing_data(folder: Path, model: str) -> Iterator[str]:
    """Names of the data set's folder, or of the features of a model in it, that are not there."""
    if not folder.is_dir():
        yield f"{folder.parent.name}/{folder.name}/"
        return
    for kind in FEATURES.get(model, ()):
        if not (folder / "features" / f"{kind}.npy").is_file():
            yield f"{folder.parent.name}/{folder.name}/features/{kind}.npy"


def _first(folder: Path, stem: str, dataset: str, endings: Sequence[str]) -> Path | None:
    """The file of a data set, else that of both, with the first of the endings."""
    files = (folder / f"{start}{ending}" for start in (f"{stem}-{dataset}", stem) for ending in endings)
    return next((file for file in files if file.exists()), None)
