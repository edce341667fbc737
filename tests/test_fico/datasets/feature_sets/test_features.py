"""Pairs of features in every file format of the hashing literature, on tiny files made here."""

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from fico.datasets import load_dataset
from fico.errors import DataError, UsageError
from fico.features import model_inputs

SIDES = ("image_features", "text_features", "labels")
COUNT, IMAGE_DIM, TEXT_DIM, CLASSES = 40, 6, 9, 4


def arrays():
    generator = np.random.default_rng(3)
    labels = (generator.random((COUNT, CLASSES)) < 0.4).astype(np.uint8)
    images = generator.normal(size=(COUNT, IMAGE_DIM)).astype(np.float32)
    tags = (generator.random((COUNT, TEXT_DIM)) < 0.3).astype(np.float32)
    tags[:, 0] = np.arange(COUNT)  # says which row it is
    return images, tags, labels


def written(folder, kind):
    """Write the three arrays as one of the layouts; gives the options that read it."""
    images, tags, labels = arrays()
    folder.mkdir(exist_ok=True)
    named = {"XAll": images, "YAll": tags, "LAll": labels}
    if kind == "npz":
        np.savez(folder / "f.npz", **named)
    elif kind == "mat5":
        savemat(folder / "f.mat", {name: array.astype(float) for name, array in named.items()})
    elif kind in ("mat7.3", "mat7.3 by others"):
        with h5py.File(folder / "f.mat", "w", userblock_size=512) as file:
            for name, array in named.items():  # MATLAB writes by columns, others as they like
                file[name] = array.T if kind == "mat7.3" else array
        if kind == "mat7.3":
            with (folder / "f.mat").open("r+b") as file:
                file.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")
    elif kind == "h5":
        with h5py.File(folder / "f.h5py", "w") as file:
            for name, array in named.items():
                file[name] = array
    name = next(folder.glob("f.*")).name
    return {"image_features": f"{name}:XAll", "text_features": f"{name}:YAll", "labels": f"{name}:LAll"}


def rows_of(dataset, split):
    return dataset.features(split, "doc2vec")[:, 0].astype(int)


@pytest.mark.parametrize("kind", ["npz", "mat5", "mat7.3", "mat7.3 by others", "h5"])
def test_every_format_reads_the_same(tmp_path, kind):
    images, tags, labels = arrays()
    dataset = load_dataset("features", root=tmp_path, **written(tmp_path, kind), queries=8, train=20, items=COUNT)
    for split in ("train", "val", "test"):
        rows = rows_of(dataset, split)
        found = dataset.split(split)
        assert [int(item) for item in found.image_ids] == rows.tolist()
        assert np.array_equal(dataset.features(split, "global"), images[rows])
        assert np.array_equal(dataset.features(split, "doc2vec"), tags[rows])
        assert np.array_equal(found.labels, labels[rows].astype(bool))
        assert found.correspondence.caption_to_image.tolist() == list(range(len(rows)))
    assert [len(dataset.split(name).image_ids) for name in ("train", "val", "test")] == [18, 2, 8]


def test_files_of_one_array_each_need_no_key(tmp_path):
    for name, array in zip(("iall-vgg", "yall", "lall"), arrays(), strict=True):
        savemat(tmp_path / f"mirflickr25k-{name}.mat", {name.split("-")[0].title(): array.astype(float)})
    names = {"image_features": "iall-vgg", "text_features": "yall", "labels": "lall"}
    options = {side: f"mirflickr25k-{name}.mat" for side, name in names.items()}
    dataset = load_dataset("features", root=tmp_path, **options, queries=8)
    assert len(dataset.split("train").image_ids) == 29


def test_splits_are_disjoint_and_follow_the_seed_alone(tmp_path):
    options = written(tmp_path, "npz") | {"queries": 10}
    first, again, other = (load_dataset("features", root=tmp_path, **options, seed=seed) for seed in (0, 0, 1))
    rows = {split: rows_of(first, split).tolist() for split in ("train", "val", "test")}
    assert sorted(sum(rows.values(), [])) == list(range(COUNT))
    assert rows_of(again, "test").tolist() == rows["test"]
    assert rows_of(other, "test").tolist() != rows["test"]


@pytest.mark.parametrize(("order", "wanted"), [("last", range(35, 40)), ("first", range(5))])
def test_queries_may_be_the_ends_of_the_file(tmp_path, order, wanted):
    dataset = load_dataset("features", root=tmp_path, **written(tmp_path, "h5"), queries=5, train=20, order=order)
    assert rows_of(dataset, "test").tolist() == list(wanted)
    trained = np.concatenate([rows_of(dataset, "train"), rows_of(dataset, "val")])
    assert len(trained) == 20
    assert not set(trained) & set(wanted)
    assert np.ptp(trained) > 25, "they are drawn from all others, not the rows next to the queries"


def test_with_ids_the_order_of_the_file_changes_nothing(tmp_path):
    images, tags, labels = arrays()
    names = np.array([f"im{row:03d}" for row in range(COUNT)])
    prints = []
    for folder, order in (("a", np.arange(COUNT)), ("b", np.random.default_rng(1).permutation(COUNT))):
        (tmp_path / folder).mkdir()
        np.savez(tmp_path / folder / "f.npz", images=images[order], texts=tags[order], labels=labels[order])
        (tmp_path / folder / "ids.txt").write_text("\n".join(names[order]))
        sources = {"image_features": "f.npz", "text_features": "f.npz", "labels": "f.npz", "image_ids": "ids.txt"}
        dataset = load_dataset("features", root=tmp_path / folder, **sources, queries=10)
        rows = rows_of(dataset, "test")
        prints.append(
            {item: tuple(row) for item, row in zip(dataset.split("test").image_ids, rows[:, None], strict=True)}
        )
        assert all(names[row] == item for item, (row,) in prints[-1].items())
    assert prints[0] == prints[1]


def test_files_may_hold_each_split(tmp_path):
    images, tags, labels = arrays()
    savemat(tmp_path / "d.mat", {"I_tr": images[:30], "T_tr": tags[:30], "L_tr": labels[:30]})
    savemat(tmp_path / "t.mat", {"I_te": images[30:], "T_te": tags[30:], "L_te": labels[30:]})
    sources = {
        side: {"train": f"d.mat:{letter}_tr", "test": f"t.mat:{letter}_te"}
        for side, letter in (("image_features", "I"), ("text_features", "T"), ("labels", "L"))
    }
    dataset = load_dataset("features", root=tmp_path, **sources, validation=0.2)
    assert rows_of(dataset, "test").tolist() == list(range(30, 40))
    assert [len(dataset.split(name).image_ids) for name in ("train", "val")] == [24, 6]


def test_a_database_and_its_queries_are_train_and_test(tmp_path):
    images, tags, labels = arrays()
    kinds = (("V", images), ("Y", tags))
    named = {f"{letter}Database": array[:30] for letter, array in kinds} | {"databaseL": labels[:30]}
    named |= {f"{letter}Test": array[30:] for letter, array in kinds} | {"testL": labels[30:]}
    savemat(tmp_path / "f.mat", named)
    sources = {
        "image_features": {"train": "f.mat:VDatabase", "test": "f.mat:VTest"},
        "text_features": {"train": "f.mat:YDatabase", "test": "f.mat:YTest"},
        "labels": {"train": "f.mat:databaseL", "test": "f.mat:testL"},
    }
    dataset = load_dataset("features", root=tmp_path, **sources, train=10, validation=0)
    assert len(dataset.split("train").image_ids) == 10
    assert rows_of(dataset, "test").tolist() == list(range(30, 40))


def test_several_texts_an_image_need_to_be_told(tmp_path):
    images, tags, _ = arrays()
    owners = np.repeat(np.arange(COUNT), 2)
    np.savez(tmp_path / "f.npz", images=images, texts=tags[owners], rows=owners)
    sources = {"image_features": "f.npz:images", "text_features": "f.npz:texts"}
    with pytest.raises(DataError, match="different lengths"):
        load_dataset("features", root=tmp_path, **sources, queries=8).split("test")
    dataset = load_dataset("features", root=tmp_path, **sources, caption_to_image="f.npz:rows", queries=8)
    test = dataset.split("test")
    assert test.correspondence.caption_to_image.tolist() == [row for row in range(8) for _ in range(2)]
    assert rows_of(dataset, "test").tolist() == [int(item) for item in test.image_ids for _ in range(2)]


def test_numbers_of_classes_become_columns(tmp_path):
    images, tags, _ = arrays()
    np.savez(tmp_path / "f.npz", images=images, texts=tags, labels=np.arange(COUNT) % 5)
    sources = {side: "f.npz" for side in SIDES}
    labels = load_dataset("features", root=tmp_path, **sources, queries=8).split("test").labels
    assert labels.shape == (8, 5)
    assert (labels.sum(axis=1) == 1).all()


def test_bags_of_words_feed_a_hashing_model(tmp_path):
    dataset = load_dataset("features", root=tmp_path, **written(tmp_path, "mat5"), queries=8, standardise=True)
    inputs = model_inputs(dataset, ["train", "test"], image="global", text="doc2vec")
    assert (inputs.sizes["image_dim"], inputs.sizes["text_dim"], inputs.sizes["classes"]) == (6, 9, 4)
    assert np.allclose(inputs.splits["train"].images.mean(axis=0), 0, atol=1e-5)
    assert "standardised on train" in inputs.origin["image"]
    with pytest.raises(UsageError, match="has no images and no words"):
        model_inputs(dataset, ["train"], image="global", text="words")


def test_the_fingerprint_follows_the_content(tmp_path):
    images, tags, labels = arrays()
    prints = set()
    for changed in (None, images, tags, labels):
        if changed is not None:
            changed[:] = 1 - changed
        np.savez(tmp_path / "f.npz", images=images, texts=tags, labels=labels)
        sources = {side: "f.npz" for side in SIDES}
        prints.add(load_dataset("features", root=tmp_path, **sources, queries=8).split("test").fingerprint)
    assert len(prints) == 4


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"queries": None}, UsageError, "dataset.queries must be given"),
        ({"order": "any"}, UsageError, "random, first, last"),
        ({"validation": 1}, UsageError, "dataset.validation is 1"),
        ({"queries": 40}, DataError, "40 images, too few"),
        ({"queries": 8, "train": 33}, DataError, "too few for 8 to test"),
        ({"items": 41}, DataError, "but there are 41 images"),
        ({"image_features": "f.npz:IAll"}, UsageError, "no array 'IAll'; it has XAll, YAll, LAll"),
        ({"image_features": "g.npz:XAll"}, DataError, "does not exist"),
        ({"labels": "f.npz:YAll"}, DataError, "expected 0 and 1"),
        ({"text_features": {"train": "f.npz:YAll"}}, UsageError, "by the same splits"),
        ({"expected": {"test": 2000}}, DataError, "has 8 images, expected 2000"),
    ],
)
def test_a_wrong_option_is_named_in_one_line(tmp_path, options, error, message):
    given = written(tmp_path, "npz") | {"queries": 8} | options
    with pytest.raises(error, match=message) as caught:
        load_dataset("features", root=tmp_path, **given).split("test")
    assert "\n" not in str(caught.value)


def test_values_that_are_no_numbers_are_refused_by_id(tmp_path):
    images, tags, labels = arrays()
    images[:] = np.nan
    np.savez(tmp_path / "f.npz", images=images, texts=tags, labels=labels)
    dataset = load_dataset("features", root=tmp_path, image_features="f.npz", text_features="f.npz", queries=8)
    with pytest.raises(DataError, match=r"not finite, for \d+, \d+, \d+"):
        dataset.features("test", "global")


@pytest.mark.parametrize("layout", ["MATLAB 7.3", "items 3 width height", "items height width 3"])
def test_pictures_become_descriptors(tmp_path, layout):
    from fico.images import descriptors

    side = descriptors.SIDE
    pictures = np.random.default_rng(0).integers(0, 256, (6, side, side, 3), dtype=np.uint8)
    stored = pictures if layout == "items height width 3" else pictures.transpose(0, 3, 2, 1)
    name = "i.mat" if layout == "MATLAB 7.3" else "i.h5"
    with h5py.File(tmp_path / name, "w") as file:
        file["IAll"] = stored
    np.savez(tmp_path / "t.npz", YAll=np.arange(54.0).reshape(6, 9))
    sources = {"image_features": f"{name}:IAll", "text_features": "t.npz:YAll"}
    dataset = load_dataset("features", root=tmp_path, **sources, queries=3, validation=0)
    rows = [int(item) for item in dataset.split("test").image_ids]
    assert np.allclose(dataset.features("test", "global"), descriptors.global_descriptor(pictures)[rows])


def test_one_column_of_zero_and_one_is_refused_as_it_may_be_class_numbers(tmp_path):
    """Two classes numbered 1 and 2 are classes; numbered 0 and 1 half of the images had no label at all."""
    numbers = np.arange(10) % 2
    arrays = {"images": np.random.default_rng(0).normal(size=(10, 3)), "texts": np.ones((10, 4))}
    options = {"image_features": "a.npz:images", "text_features": "a.npz:texts", "labels": "a.npz:labels", "queries": 2}
    np.savez(tmp_path / "a.npz", labels=numbers[:, None] + 1, **arrays)
    assert load_dataset("features", root=tmp_path, **options).split("test").labels.sum() == 2
    np.savez(tmp_path / "a.npz", labels=numbers[:, None], **arrays)
    with pytest.raises(DataError, match="one column of 0 and 1"):
        load_dataset("features", root=tmp_path, **options).split("test")
