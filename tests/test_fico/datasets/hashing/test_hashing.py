"""The hashing protocol of any labelled data set: disjoint roles, published counts, index files, rows that fit."""

from pathlib import Path

import numpy as np
import pytest

from fico.datasets.feature_sets.features import FeatureFiles
from fico.datasets.hashing.protocol_splits import hashing_splits
from fico.datasets.hashing.roles import PUBLISHED, HashingProtocol
from fico.datasets.shapes.shapes import Shapes
from fico.errors import DataError, UsageError

IMAGES = 200


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    return Shapes(images=60, root=tmp_path_factory.mktemp("shapes"), progress=False)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Pairs whose image vector, text vector and label say which row they are; every tenth has no label."""
    folder = tmp_path_factory.mktemp("files")
    rows = np.arange(IMAGES, dtype=np.float32)[:, None]
    labels = np.eye(5, dtype=np.uint8)[np.arange(IMAGES) % 5] * (np.arange(IMAGES) % 10 != 3)[:, None]
    np.savez(folder / "all.npz", images=rows * [1, 2], texts=rows * [1, 3], labels=labels)
    return folder


def pairs(files, **changed):
    sources = {"image_features": "all.npz:images", "text_features": "all.npz:texts", "labels": "all.npz:labels"}
    return FeatureFiles(files, **{**sources, "queries": 40, "train": 50, "items": IMAGES, **changed})


def parts(split):
    """Ids of the queries and of the database of a test split."""
    database = set(split.correspondence.database.tolist())
    ids = [{item for row, item in enumerate(split.image_ids) if (row in database) == wanted} for wanted in (0, 1)]
    return ids[0], ids[1]


def test_the_own_test_split_are_the_queries_and_all_others_the_database(shapes):
    made = hashing_splits(shapes, HashingProtocol())
    own = {name: shapes.split(name) for name in ("train", "val", "test")}
    test = made.split("test")
    queries, database = parts(test)
    assert made.name == test.dataset == "shapes(hashing)"
    assert queries == set(own["test"].image_ids)
    assert database == {*own["train"].image_ids, *own["val"].image_ids}
    assert made.split("train").image_ids == own["train"].image_ids
    assert made.split("val").image_ids == own["val"].image_ids
    assert made.split("train").correspondence.database is None
    whole = {item: row for split in own.values() for item, row in zip(split.image_ids, split.labels, strict=True)}
    np.testing.assert_array_equal(test.labels, [whole[item] for item in test.image_ids])
    told = dict(zip(own["train"].caption_ids, own["train"].captions, strict=True))
    owners = {
        caption: own["train"].image_ids[image]
        for caption, image in zip(own["train"].caption_ids, own["train"].correspondence.caption_to_image, strict=True)
    }
    for row, caption in enumerate(test.caption_ids):
        if caption in told:
            assert test.captions[row] == told[caption]
            assert test.image_ids[test.correspondence.caption_to_image[row]] == owners[caption]


@pytest.mark.parametrize("seed", [0, 1])
def test_drawn_roles_have_their_counts_and_share_no_query(shapes, seed):
    made = hashing_splits(shapes, HashingProtocol(queries=20, train=40, validation=7, seed=seed))
    queries, database = parts(made.split("test"))
    trained, validated = (set(made.split(name).image_ids) for name in ("train", "val"))
    assert [len(part) for part in (queries, database, trained, validated)] == [20, 80, 33, 7]
    assert trained | validated <= database
    assert not queries & database
    assert not trained & validated
    other = hashing_splits(shapes, HashingProtocol(queries=20, train=40, validation=7, seed=1 - seed))
    assert parts(other.split("test"))[0] != queries
    assert other.split("test").fingerprint != made.split("test").fingerprint
    again = hashing_splits(shapes, HashingProtocol(queries=20, train=40, validation=7, seed=seed))
    assert again.split("test").fingerprint == made.split("test").fingerprint


def test_published_counts_are_those_of_the_papers():
    ids = [f"{n}" for n in range(122_218)]
    roles = HashingProtocol().share_out(ids, ["train"] * len(ids), "coco", Path())
    assert (len(roles.queries), len(roles.database)) == (5000, 117_218)
    assert (len(roles.train), len(roles.val)) == (115_218, 2000)
    assert set(PUBLISHED) == {"coco"}


def test_features_keep_their_rows_and_the_rest_is_in_the_database(files):
    made = hashing_splits(pairs(files), HashingProtocol())
    test = made.split("test")
    queries, database = parts(test)
    assert len(queries | database) == IMAGES - 20
    assert "20 images without a label are in no split" in test.notes
    assert queries <= set(pairs(files).split("test").image_ids)
    for name in ("train", "val", "test"):
        split = made.split(name)
        rows = np.array([int(item) for item in split.image_ids])
        np.testing.assert_array_equal(made.features(name, "global"), rows[:, None] * [1, 2])
        np.testing.assert_array_equal(made.features(name, "doc2vec"), rows[:, None] * [1, 3])
        np.testing.assert_array_equal(split.labels.argmax(axis=1), rows % 5)
    assert len(made.split("train").image_ids) + len(made.split("val").image_ids) < 50 + 1


def test_files_that_number_each_split_anew_give_unique_ids(files):
    both = {name: "all.npz:images" for name in ("train", "test")}
    changed = {"image_features": both, "text_features": both, "labels": dict.fromkeys(both, "all.npz:labels")}
    test = hashing_splits(pairs(files, **changed, queries=None, train=None), HashingProtocol()).split("test")
    assert len(set(test.image_ids)) == len(test.image_ids) == 2 * (IMAGES - 20)
    assert len(set(test.caption_ids)) == len(test.caption_ids)


def test_index_files_say_who_is_what(shapes, tmp_path):
    ids = shapes.split("train").image_ids
    (tmp_path / "queries.txt").write_text("\n".join(ids[:5]) + "\n")
    (tmp_path / "train.txt").write_text("\n".join(ids[10:40]))
    np.save(tmp_path / "database.npy", np.array(ids[10:50]))
    given = {name: str(next(tmp_path.glob(f"{name}.*"))) for name in ("queries", "train", "database")}
    made = hashing_splits(shapes, HashingProtocol(validation=6, files=given))
    queries, database = parts(made.split("test"))
    assert (queries, database) == (set(ids[:5]), set(ids[10:50]))
    assert len(made.split("train").image_ids) == 24
    assert {*made.split("train").image_ids, *made.split("val").image_ids} == set(ids[10:40])


@pytest.mark.parametrize(
    ("given", "error", "wanted"),
    [
        ({"queries": 0}, UsageError, "dataset.protocol_queries is 0"),
        ({"queries": 5000}, UsageError, "but there are 100 labelled images"),
        ({"queries": 100}, DataError, "no images for database"),
        ({"files": {"test": "x.txt"}}, UsageError, "its keys are queries, database, train, val"),
        ({"files": {"queries": "x.txt"}}, DataError, "no index file x.txt"),
        ({"queries": 5, "files": {"queries": "x.txt"}}, UsageError, "give one of them"),
    ],
)
def test_what_cannot_be_is_refused(shapes, given, error, wanted):
    with pytest.raises(error, match=wanted):
        hashing_splits(shapes, HashingProtocol(**given)).split("test")


def test_a_query_that_is_trained_on_is_refused(shapes, tmp_path):
    ids = shapes.split("train").image_ids
    for name, lines in (("queries", ids[:5]), ("train", ids[4:40])):
        (tmp_path / f"{name}.txt").write_text("\n".join(lines))
    given = {name: str(tmp_path / f"{name}.txt") for name in ("queries", "train")}
    with pytest.raises(DataError, match=f"image '{ids[4]}' is a query and in train"):
        hashing_splits(shapes, HashingProtocol(files=given)).split("test")
    (tmp_path / "train.txt").write_text("nobody\n")
    with pytest.raises(DataError, match="names image 'nobody'"):
        hashing_splits(shapes, HashingProtocol(files=given)).split("test")


def test_a_data_set_without_labels_is_refused(files):
    with pytest.raises(UsageError, match="needs labels"):
        hashing_splits(pairs(files, labels=None), HashingProtocol()).split("train")
