"""Every form of the same pairs gives the same data set; files that tools made, and what people do to files."""

from pathlib import Path

import pytest

import fico
from fico.images.decode import open_rgb

FIXTURES = Path(__file__).parent / "fixtures"
CAPTIONS = {
    "train": (['a dog, "Rex", on the grass', "ein Hund auf der Wiese"], ["a tram; late at night", "трамвай ночью"]),
    "val": (["two ducks | one pond", "池に二羽の鴨"],),
    "test": (["a café\u2028at noon", "a terrace\twith chairs"],),
}
FORMS = ["pandas.csv", "pandas_bom.tsv", "pandas.jsonl", "blip.json", "webdataset", "pandas.parquet", "datasets"]


def captions(split):
    found = [[] for _ in split.image_ids]
    for text, row in zip(split.captions, split.correspondence.caption_to_image, strict=True):
        found[row].append(text)
    return tuple(found)


def need_parquet(form):
    if form.endswith("parquet") or form == "datasets":
        pytest.importorskip("pyarrow")


@pytest.mark.parametrize("form", FORMS)
def test_each_form_of_the_same_pairs_gives_the_same_data_set(form):
    need_parquet(form)
    dataset = fico.load_dataset("pairs", root=FIXTURES / form)
    for name, expected in CAPTIONS.items():
        split = dataset.split(name)
        assert captions(split) == expected
        assert split.notes == ()
        assert [open_rgb(path).size for path in split.image_paths] == [(24, 16)] * len(expected)
    train = dataset.split("train")
    assert train.image_paths[0].read_bytes() == (FIXTURES / "images/park/001.jpg").read_bytes()
    assert train.image_paths[1].read_bytes() == (FIXTURES / "images/street/001.jpg").read_bytes()
    assert len(set(train.image_ids)) == 2, "equal names in two folders are two images"
    if form not in ("datasets",):  # which keeps the file's name alone
        assert train.image_ids == ("park/001", "street/001")


def test_a_second_reading_of_an_archive_takes_the_cache(monkeypatch):
    first = fico.load_dataset("pairs", root=FIXTURES / "webdataset").split("train")
    monkeypatch.setattr("fico.datasets.pairs.find_pairs.read_samples", None)
    again = fico.load_dataset("pairs", root=FIXTURES / "webdataset").split("train")
    assert (again.fingerprint, again.image_paths) == (first.fingerprint, first.image_paths)
