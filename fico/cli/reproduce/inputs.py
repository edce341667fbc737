"""Which of the paper's weights and data sets are there, by the names that the docs list."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fico.errors import UsageError

SUFFIXES = (".safetensors", ".pth", ".pt", ".pth.tar", ".t7", "")  # the last: a folder in the form of transformers
DATASETS = {"flickr30k": 1000, "coco": 5000}  # images of the test split
# Rows of the paper's tables: name of the weights, then the model of the bench and what else it takes.
ROWS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "ucch": ("ucch", "ucch", ()),
    "dadh": ("dadh", "dadh", ()),
    "adv(64bit)": ("adv_64", "adv", ("model.bits=64",)),
    "adv(2048bit)": ("adv_2048", "adv", ("model.bits=2048",)),
    "vsrn": ("vsrn", "vsrn", ()),
    "beit3": ("beit3", "beit3", ()),
    "xvlm(nf)": ("xvlm", "xvlm_nf", ()),
    "blip2(nf)": ("blip2", "blip2_nf", ()),
    "scan": ("scan", "scan", ()),
    "imram": ("imram", "imram", ()),
    "xvlm": ("xvlm", "xvlm", ()),
    "blip2": ("blip2", "blip2", ()),
}
# What a model needs beside its weights: the ending of the file beside them, and the key of the run.
BESIDE = {
    "scan": ("-vocab.json", "model.vocabulary"),
    "imram": ("-vocab.json", "model.vocabulary"),
    "vsrn": ("-vocab.json", "model.vocabulary"),
    "xvlm": ("-vocab.txt", "model.inputs.text.vocab"),
    "beit3": (".spm", "model.inputs.text.model"),
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
        return DATASETS[self.dataset]


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
    missing, overrides = [], [f"model={model}", f"dataset={dataset}", *more]
    if (data / dataset).is_dir():
        overrides.append(f"dataset.root={(data / dataset).resolve()}")
    else:
        missing.append(f"{data.name}/{dataset}/")
    files = [weights / f"{start}{suffix}" for start in (f"{stem}-{dataset}", stem) for suffix in SUFFIXES]
    if (found := next((file for file in files if file.exists()), None)) is not None:
        overrides.append(f"model.weights={found.resolve()}")
    else:
        missing.append(f"{weights.name}/{stem}-{dataset}.safetensors")
    for names, key in _beside(stem, dataset):
        file = next((weights / each for each in names if (weights / each).is_file()), None)
        if file is None:
            missing.append(f"{weights.name}/{names[0]}")
        else:
            overrides.append(f"{key}={file.resolve()}")
    return Row(name, model, dataset, tuple(overrides), tuple(missing))


def _beside(stem: str, dataset: str) -> Iterator[tuple[tuple[str, str], str]]:
    if stem in BESIDE:
        ending, key = BESIDE[stem]
        yield (f"{stem}-{dataset}{ending}", f"{stem}{ending}"), key
