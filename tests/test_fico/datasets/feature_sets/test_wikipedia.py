"""The Wikipedia pairs: its splits, its features, and what cannot be had from it."""

import numpy as np
import pytest

from fico.datasets import load_dataset
from fico.datasets.feature_sets.wikipedia import Wikipedia
from fico.errors import DataError, UsageError
from fico.features import model_inputs
from fico.report.html.environment import thumbnail

CLASSES = ("art", "sport", "warfare")
COUNTS = {"train": (40, 25, 15), "test": (9, 4, 7)}
KINDS = {"image": "global", "text": "doc2vec"}


def arrays():
    """A small file of the same form, rows shuffled."""
    generator = np.random.default_rng(0)
    made = {"class_names": np.array(CLASSES)}
    for part, counts in COUNTS.items():
        labels = generator.permutation(np.repeat(np.arange(3), counts))
        made[f"label_{part}"] = labels
        for side, width in (("image", 6), ("text", 4)):
            made[f"{side}_{part}"] = (generator.random((len(labels), width)) + labels[:, None]).astype(np.float32)
            made[f"{side}_id_{part}"] = np.array([f"{side}-{part}-{row}" for row in range(len(labels))])
    return made


def written(folder, **changed):
    path = folder / "wikipedia_2866.npz"
    np.savez(path, **{name: array for name, array in (arrays() | changed).items() if array is not None})
    return path


def test_train_and_val_are_the_training_part_and_test_is_the_rest(tmp_path):
    dataset = Wikipedia(written(tmp_path))
    train, val, test = (dataset.split(name) for name in ("train", "val", "test"))
    assert not set(train.image_ids) & set(val.image_ids)
    assert {*train.image_ids, *val.image_ids} == set(arrays()["image_id_train"])
    assert test.image_ids == tuple(arrays()["image_id_test"])
    assert Wikipedia(tmp_path).split("test").fingerprint == test.fingerprint, "the folder does as well"


@pytest.mark.parametrize(("share", "wanted"), [(0.1, (4, 2, 2)), (0.2, (8, 5, 3)), (0.5, (20, 12, 8))])
def test_validation_takes_the_same_share_of_every_class(tmp_path, share, wanted):
    dataset = Wikipedia(written(tmp_path), validation=share)
    assert dataset.split("val").labels.sum(axis=0).tolist() == list(wanted)
    assert dataset.split("train").labels.sum(axis=0).tolist() == [40 - wanted[0], 25 - wanted[1], 15 - wanted[2]]


def test_validation_pairs_are_the_same_in_any_order_of_the_file_and_stay_when_more_are_taken(tmp_path):
    before = set(Wikipedia(written(tmp_path)).split("val").image_ids)
    order = np.random.default_rng(1).permutation(80)
    shuffled = {name: array[order] for name, array in arrays().items() if name.endswith("_train")}
    assert set(Wikipedia(written(tmp_path, **shuffled)).split("val").image_ids) == before
    assert before < set(Wikipedia(tmp_path, validation=0.3).split("val").image_ids)


def test_without_a_share_everything_is_trained_on(tmp_path):
    dataset = Wikipedia(written(tmp_path), validation=0)
    assert len(dataset.split("train").image_ids) == 80
    with pytest.raises(DataError, match=r"'val' .* has no pairs, as dataset\.validation is 0"):
        dataset.split("val")


def test_rows_of_labels_and_features_belong_to_the_ids(tmp_path):
    dataset, raw = Wikipedia(written(tmp_path)), arrays()
    for name, part in (("train", "train"), ("val", "train"), ("test", "test")):
        split = dataset.split(name)
        rows = [list(raw[f"image_id_{part}"]).index(item) for item in split.image_ids]
        assert (split.labels.argmax(axis=1) == raw[f"label_{part}"][rows]).all()
        assert split.caption_ids == tuple(raw[f"text_id_{part}"][rows])
        assert split.correspondence.caption_to_image.tolist() == list(range(len(rows)))
        for side, kind in KINDS.items():
            got, given = dataset.features(name, kind), raw[f"{side}_{part}"][rows]
            correlations = [np.corrcoef(got[:, column], given[:, column])[0, 1] for column in range(given.shape[1])]
            assert got.dtype == np.float32
            assert np.allclose(correlations, 1, atol=1e-4)


def test_features_are_standardised_on_train_alone(tmp_path):
    far = arrays()["image_test"] + 100
    constant = {f"text_{part}": arrays()[f"text_{part}"] * np.float32([1, 1, 1, 0]) for part in COUNTS}
    dataset = Wikipedia(written(tmp_path, image_test=far, **constant))
    for kind in KINDS.values():
        train = dataset.features("train", kind)
        assert np.allclose(train.mean(axis=0), 0, atol=1e-5)
        assert np.allclose(train.std(axis=0), [1] * 6 if kind == "global" else [1, 1, 1, 0], atol=1e-5)
    assert dataset.features("test", "global").min() > 50


def test_a_model_is_fed_the_features_of_the_data_set(tmp_path):
    dataset = load_dataset("wikipedia", root=written(tmp_path))
    inputs = model_inputs(dataset, ["train", "test"], image="global", text="doc2vec")
    assert inputs.sizes == {"image_dim": 6, "text_dim": 4, "train_pairs": 72, "train_images": 72, "classes": 3}
    assert np.array_equal(inputs.splits["test"].texts, dataset.features("test", "doc2vec"))
    assert "SIFT" in inputs.origin["image"]
    assert "LDA" in inputs.origin["text"]
    assert inputs.vocabulary is None
    assert (inputs.bytes_per_image, inputs.bytes_per_text) == (24, 16)


@pytest.mark.parametrize("kinds", [("regions", "doc2vec"), ("global", "words")])
def test_regions_and_words_cannot_be_made(tmp_path, kinds):
    image, text = kinds
    with pytest.raises(UsageError, match=r"of wikipedia cannot be made, as it has no images and no words"):
        model_inputs(Wikipedia(written(tmp_path)), ["train"], image=image, text=text)


def test_the_report_does_without_pictures(tmp_path):
    assert thumbnail(Wikipedia(written(tmp_path)).split("test").image_paths[0]) is None


@pytest.mark.parametrize("changed", ["image", "text", "label"])
def test_the_fingerprint_follows_the_content(tmp_path, changed):
    before = Wikipedia(written(tmp_path)).split("test").fingerprint
    array = arrays()[f"{changed}_test"]
    array[0] = array[1] + 0.5 if changed != "label" else (array[0] + 1) % 3
    assert Wikipedia(written(tmp_path, **{f"{changed}_test": array})).split("test").fingerprint != before


def test_a_folder_without_the_file_says_what_to_give(tmp_path):
    with pytest.raises(DataError, match=r"set dataset\.root to wikipedia_2866\.npz or to the folder that holds it"):
        Wikipedia(tmp_path)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"text_id_test": None}, "no array 'text_id_test'"),
        ({"label_train": arrays()["label_train"][1:]}, "not a set of pairs"),
        ({"label_test": arrays()["label_test"] + 1}, "not a number of a class"),
        ({"image_test": np.full((20, 6), np.nan, np.float32)}, "not finite"),
        ({"text_test": np.zeros((20, 5), np.float32)}, "another width"),
        ({"image_id_train": np.array(["same"] * 80)}, "an id twice in image_id_train"),
    ],
)
def test_a_broken_file_is_named_in_one_line(tmp_path, changed, message):
    path = written(tmp_path, **changed)
    with pytest.raises(DataError, match=message) as caught:
        Wikipedia(path).split("train")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_cut_file_an_unknown_split_and_a_wrong_share_are_refused(tmp_path):
    path = written(tmp_path)
    with pytest.raises(DataError, match="no split 'dev'; it has train, val, test"):
        Wikipedia(path).split("dev")
    with pytest.raises(UsageError, match=r"dataset\.validation is 1"):
        Wikipedia(path, validation=1)
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(DataError, match="npz is damaged or of another form"):
        Wikipedia(path).split("test")


@pytest.mark.data
def test_the_real_file_has_the_counts_of_its_readme(data_dir):
    dataset = Wikipedia(data_dir / "wikipedia_crossmodal")
    train, val, test = (dataset.split(name) for name in ("train", "val", "test"))
    every = train.labels.sum(axis=0) + val.labels.sum(axis=0)
    assert every.tolist() == [138, 272, 244, 248, 202, 178, 186, 144, 214, 347]
    assert test.labels.sum(axis=0).tolist() == [34, 88, 96, 85, 65, 58, 51, 41, 71, 104]
    assert len(val.image_ids) == 217
    assert train.classes[8:] == ("sport", "warfare")
