"""Descriptors, cache, features beside a data set, and what a model is fed."""

import json
import os
import shutil
import time

import numpy as np
import pytest
from PIL import Image

from fico.datasets.karpathy.karpathy import Karpathy
from fico.datasets.shapes.shapes import Shapes
from fico.errors import DataError, UsageError
from fico.features import Vocabulary, model_inputs
from fico.features.cache import cached_rows
from fico.features.image.descriptor_features import image_features
from fico.images.descriptors import global_descriptor, region_descriptor, window_boxes
from fico.loading.batches import ImageGroups, collate

SPLITS = ("train", "val", "test")


@pytest.fixture
def folder(tmp_path):
    """A folder of 60 pictures that a test may change."""
    source = Shapes(20, progress=False)
    source.split("train")
    return shutil.copytree(source.root, tmp_path / "data")


def pictures(count=5):
    return np.random.default_rng(0).integers(0, 256, (count, 96, 96, 3), dtype=np.uint8)


@pytest.mark.parametrize(("describe", "shape"), [(global_descriptor, (392,)), (region_descriptor, (36, 114))])
def test_descriptors_are_finite_fractions_of_a_fixed_size(describe, shape):
    extremes = np.stack([np.zeros((96, 96, 3), np.uint8), np.full((96, 96, 3), 255, np.uint8), *pictures()])
    rows = describe(extremes)
    assert rows.shape == (7, *shape)
    assert rows.dtype == np.float32
    assert rows.min() >= 0
    assert rows.max() <= 1 + 1e-6


@pytest.mark.parametrize("describe", [global_descriptor, region_descriptor])
def test_a_picture_is_described_alike_in_any_batch(describe):
    batch = pictures()
    assert np.allclose(describe(batch)[3], describe(batch[3:4])[0], atol=1e-6)


def test_colour_bins_name_the_colour():
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 128, 128), (255, 128, 0), (254, 0, 4)]
    flat = np.broadcast_to(np.array(colours, np.uint8)[:, None, None], (6, 96, 96, 3))
    bins = global_descriptor(flat)[:, 192:264].argmax(axis=1)
    assert bins[:3].tolist() == [4, 24, 44], "hue 0, 4 and 8 of 12 at the highest shade"
    assert bins[3] == 66, "the seventh of twelve greys"
    assert bins[4] == 9, "orange is hue 1"
    assert bins[5] == bins[0], "just either side of pure red is one bin"


def test_edge_directions_tell_upright_from_level_and_ignore_the_sign():
    upright = np.zeros((1, 96, 96, 3), np.uint8)
    upright[:, :, 42:54] = 255
    level = upright.transpose(0, 2, 1, 3)
    shares = [global_descriptor(bars)[0, 264:].reshape(16, 8) for bars in (upright, level, 255 - upright)]
    assert shares[0].sum(axis=0).argmax() == 0
    assert shares[1].sum(axis=0).argmax() == 4
    assert np.allclose(shares[0], shares[2], atol=1e-5)


def test_a_region_sees_its_box_alone():
    image = np.zeros((1, 96, 96, 3), np.uint8)
    image[:, :16, :16] = (255, 0, 0)
    red = region_descriptor(image)[0, :, 72]
    touches = (window_boxes()[:, 0] < 1 / 6) & (window_boxes()[:, 1] < 1 / 6)
    assert ((red > 0) == touches).all()
    # mean red = share of the window's area
    areas = (window_boxes()[:, 2] - window_boxes()[:, 0]) ** 2
    assert np.allclose(red[touches], (1 / 36) / areas[touches], atol=1e-6)


@pytest.mark.parametrize("kind", ["global", "regions"])
def test_values_are_standardised_on_the_training_images(folder, kind):
    dataset = Karpathy(folder)
    features = image_features(folder, {name: dataset.split(name) for name in SPLITS}, kind, progress=False)
    train = features.rows["train"].reshape(-1, features.rows["train"].shape[-1])
    varying = train.std(axis=0) > 0
    assert varying.mean() > 0.8
    assert np.allclose(train.mean(axis=0), 0, atol=1e-4)
    assert np.allclose(train.std(axis=0)[varying], 1, atol=1e-3)
    assert not np.allclose(features.rows["test"].reshape(-1, train.shape[-1]).mean(axis=0), 0, atol=1e-3)


def test_an_image_has_its_own_features_whatever_the_order_in_the_file(folder, tmp_path):
    shuffled = shutil.copytree(folder, tmp_path / "shuffled")
    path = shuffled / "dataset_shapes.json"
    content = json.loads(path.read_text())
    np.random.default_rng(0).shuffle(content["images"])
    path.write_text(json.dumps(content))
    rows = []
    for root in (folder, shuffled):
        dataset = Karpathy(root)
        made = model_inputs(dataset, ["test"], image="global", text="words", progress=False)
        rows.append(dict(zip(dataset.split("test").image_ids, made.splits["test"].images, strict=True)))
    assert list(rows[0]) != list(rows[1])
    assert all(np.allclose(rows[0][item], rows[1][item], atol=1e-5) for item in rows[0])


def test_features_are_read_from_the_cache_and_remade_for_a_replaced_image(folder, monkeypatch):
    dataset = Karpathy(folder)
    splits = {"train": dataset.split("train")}
    first = image_features(folder, splits, "global", progress=False).rows["train"]

    def refuse(*_):
        raise AssertionError("an image was read")

    with monkeypatch.context() as patch:
        patch.setattr("fico.images.descriptors.open_rgb", refuse)
        again = image_features(folder, splits, "global", progress=False).rows["train"]
    assert (again == first).all()
    Image.new("RGB", (96, 96)).save(splits["train"].image_paths[3])
    changed = image_features(folder, splits, "global", progress=False).rows["train"]
    assert not np.allclose(changed[3], first[3])


@pytest.mark.parametrize("damage", ["truncated", "changed", "no manifest"])
def test_a_broken_cache_is_made_again(tmp_path, monkeypatch, damage):
    monkeypatch.setenv("FICO_CACHE_DIR", str(tmp_path))
    wanted = np.arange(12, dtype=np.float32).reshape(4, 3)
    blocks = (wanted[:3], wanted[3:])
    assert (cached_rows("test", [1], (4, 3), blocks) == wanted).all()
    assert (cached_rows("test", [1], (4, 3), ()) == wanted).all(), "the second time nothing is made"
    folder = next((tmp_path / "features").iterdir())
    path = folder / ("manifest.json" if damage == "no manifest" else "rows.npy")
    whole = path.read_bytes()
    if damage == "no manifest":
        path.unlink()
    else:
        path.write_bytes(whole[:-4] + (b"" if damage == "truncated" else b"abcd"))
    assert (cached_rows("test", [1], (4, 3), blocks) == wanted).all()
    assert list((tmp_path / "features").iterdir()) == [folder]


def test_other_content_is_another_array(tmp_path, monkeypatch):
    monkeypatch.setenv("FICO_CACHE_DIR", str(tmp_path))
    zeros, ones = np.zeros((2, 2), np.float32), np.ones((2, 2), np.float32)
    assert cached_rows("test", ["a"], (2, 2), [zeros]).sum() == 0
    assert cached_rows("test", ["b"], (2, 2), [ones]).sum() == 4


def test_a_failed_run_leaves_nothing_in_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FICO_CACHE_DIR", str(tmp_path))

    def blocks():
        yield np.zeros((1, 2), np.float32)
        raise DataError("image 7 is broken")

    with pytest.raises(DataError, match="image 7"):
        cached_rows("test", [1], (4, 2), blocks())
    assert list((tmp_path / "features").iterdir()) == []


def test_a_missing_or_truncated_image_is_named_when_features_are_made(folder):
    train = Karpathy(folder).split("train")
    path = train.image_paths[4]
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(DataError, match=f"image {train.image_ids[4]}: .*{path.name} is truncated"):
        model_inputs(Karpathy(folder), ["train"], image="global", text="words", progress=False)
    path.unlink()
    with pytest.raises(DataError, match=f"image {train.image_ids[4]} has no file .*{path.name}"):
        model_inputs(Karpathy(folder), ["train"], image="global", text="words", progress=False)


def put_beside(folder, kind, rows, ids, **more):
    (folder / "features").mkdir(exist_ok=True)
    np.save(folder / "features" / f"{kind}.npy", rows)
    (folder / "features" / f"{kind}.json").write_text(json.dumps({"ids": ids, **more}))


def every_id(folder, what):
    dataset = Karpathy(folder)
    return [item for name in SPLITS for item in getattr(dataset.split(name), what)]


@pytest.mark.parametrize(
    ("kind", "image", "text", "axes"),
    [
        ("vgg19", "global", "words", (7,)),
        ("regions", "regions", "words", (3, 7)),
        ("doc2vec", "global", "doc2vec", (7,)),
    ],
)
def test_features_beside_the_data_set_are_joined_by_id(folder, kind, image, text, axes):
    ids = every_id(folder, "caption_ids" if kind == "doc2vec" else "image_ids")
    numbers = {item: row for row, item in enumerate(ids)}
    np.random.default_rng(0).shuffle(ids)
    rows = np.array([np.full(axes, numbers[item]) for item in ids], dtype=np.float16)
    put_beside(folder, kind, rows, ids, origin="made by hand")
    made = model_inputs(Karpathy(folder), ["test", "val"], image=image, text=text, progress=False)
    split = Karpathy(folder).split("test")
    got = made.splits["test"].texts if kind == "doc2vec" else made.splits["test"].images
    wanted = split.caption_ids if kind == "doc2vec" else split.image_ids
    assert got.shape == (len(wanted), *axes)
    assert got.dtype == np.float32
    assert [numbers[item] for item in wanted] == got.reshape(len(wanted), -1)[:, 0].tolist()
    assert made.origin["text" if kind == "doc2vec" else "image"] == "made by hand"
    assert made.sizes["text_dim" if kind == "doc2vec" else "image_dim"] == 7
    assert made.sizes.get("regions") == (3 if kind == "regions" else None)


def test_bad_features_beside_the_data_set_are_refused_by_name(folder):
    ids = every_id(folder, "image_ids")
    rows = np.zeros((len(ids), 4), np.float32)
    holed = rows.copy()
    holed[2, 1] = np.nan
    cases = {
        f"59 rows for {len(ids)} ids": (rows[:59], ids),
        "no row for 1 of 20 ids, among them shapes_000000": (rows[1:], ids[1:]),
        r"60 rows for 60 ids \(59 distinct\)": (rows, [*ids[:-1], ids[0]]),
        "not finite, for shapes_000002": (holed, ids),
        r"shape \(60, 4, 1\) .* needs 2 axes": (rows[..., None], ids),
        "dtype int64": (rows.astype(np.int64), ids),
    }
    for message, (array, names) in cases.items():
        put_beside(folder, "vgg19", array, names)
        with pytest.raises(DataError, match=message) as caught:
            model_inputs(Karpathy(folder), ["train"], image="global", text="words", progress=False)
        assert "vgg19.npy" in str(caught.value)
    put_beside(folder, "vgg19", rows, ids)
    (folder / "features" / "vgg19.json").unlink()
    with pytest.raises(DataError, match=r"vgg19\.json is missing"):
        model_inputs(Karpathy(folder), ["train"], image="global", text="words", progress=False)
    (folder / "features" / "vgg19.json").write_text('["a"]')
    with pytest.raises(DataError, match=r"vgg19\.json must be"):
        model_inputs(Karpathy(folder), ["train"], image="global", text="words", progress=False)


def test_sizes_and_bytes_describe_the_arrays(folder):
    made = model_inputs(Karpathy(folder), ["val"], image="regions", text="words", progress=False)
    assert list(made.splits) == ["val"]
    words = len(made.vocabulary)
    assert made.sizes == {
        "image_dim": 114,
        "regions": 36,
        "vocab_size": words,
        "train_pairs": 100,
        "train_images": 20,
        "classes": 20,
    }
    assert made.bytes_per_image == 36 * 114 * 4
    assert made.splits["val"].labels.shape == (20, 20)
    assert max(ids.max() for ids in made.splits["val"].texts) < words


@pytest.mark.parametrize("kinds", [{"image": "vgg", "text": "words"}, {"image": "global", "text": "bow"}])
def test_unknown_kinds_are_refused(folder, kinds):
    with pytest.raises(UsageError, match="give"):
        model_inputs(Karpathy(folder), ["train"], **kinds)


def test_rare_words_are_unknown_and_every_caption_is_framed(tmp_path):
    vocabulary = Vocabulary.build([("a", "red", "dog"), ("a", "dog")], min_count=2)
    assert vocabulary.words == ("a", "dog")
    assert vocabulary.encode(("a", "red", "dog", "cat")).tolist() == [1, 4, 3, 5, 3, 2]
    assert vocabulary.encode(()).tolist() == [1, 2]
    assert len(vocabulary) == 6
    vocabulary.save(tmp_path / "words.json")
    assert Vocabulary.load(tmp_path / "words.json").words == vocabulary.words


def test_words_that_training_lacks_are_told_and_many_of_them_warned_of(folder, caplog):
    known = model_inputs(Karpathy(folder), ["test"], image="global", text="words", progress=False)
    assert not caplog.records
    path = folder / "dataset_shapes.json"
    content = json.loads(path.read_text())
    for image in content["images"]:
        if image["split"] == "test":
            image["sentences"][0]["tokens"] = ["ein", "kreis"] * 10
    path.write_text(json.dumps(content))
    unknown = model_inputs(Karpathy(folder), ["test"], image="global", text="words", progress=False)
    assert known.origin["text"] != unknown.origin["text"]
    missed, words = Vocabulary.count_unknown(unknown.splits["test"].texts)
    assert missed > 0.2 * words
    assert unknown.origin["text"].endswith(f"unknown words: test {missed / words:.1%}")
    assert "words of split test do not occur in the training captions" in caplog.text


@pytest.mark.parametrize("content", [None, "[]", '{"words": ["a", "a"]}', '{"words": 3}', "{"])
def test_a_broken_vocabulary_is_named(tmp_path, content):
    path = tmp_path / "words.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=r"words\.json"):
        Vocabulary.load(path)


@pytest.mark.data
@pytest.mark.parametrize("image", ["global", "regions"])
def test_real_photographs_are_described(data_dir, image):
    dataset = Karpathy(data_dir / "coco_mini_images", split_key="mini_split")
    started = time.process_time()
    made = model_inputs(dataset, ["train", "test"], image=image, text="words", progress=False)
    assert time.process_time() - started < 20
    assert np.isfinite(made.splits["test"].images).all()
    assert len(made.splits["test"].images) == 42
    assert os.access(dataset.root, os.R_OK)


def test_bert_states_are_joined_by_id_and_their_lengths_found(folder):
    ids = every_id(folder, "caption_ids")
    states = np.zeros((len(ids), 4, 3), np.float32)
    for row in range(len(ids)):
        states[row, : 1 + row % 4] = row + 1
    order = np.random.default_rng(0).permutation(len(ids))
    put_beside(folder, "bert", states[order], [ids[row] for row in order])
    made = model_inputs(Karpathy(folder), ["test"], image="global", text="bert", progress=False)
    split = Karpathy(folder).split("test")
    rows = [ids.index(item) for item in split.caption_ids]
    assert np.array_equal(made.splits["test"].texts, states[rows])
    batch = collate([ImageGroups(split, made.splits["test"])[0]])
    assert batch.lengths.tolist() == [1 + rows[caption] % 4 for caption in batch.text_ids.tolist()]


def test_missing_bert_states_say_what_to_put_where(folder):
    with pytest.raises(DataError, match=r"bert\.npy .* bert\.json"):
        model_inputs(Karpathy(folder), ["test"], image="global", text="bert", progress=False)
