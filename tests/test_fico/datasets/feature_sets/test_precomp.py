"""Precomputed features in the layout of VSE++ and SCAN, on tiny folders made here."""

import json

import numpy as np
import pytest

from fico.datasets import load_dataset
from fico.errors import DataError, UsageError
from fico.features import model_inputs

IMAGES = {"train": 6, "dev": 3, "test": 4}


def regions(part, count=None, shape=(3, 5)):
    seed = sorted([*IMAGES, "testall"]).index(part)
    return np.random.default_rng(seed).normal(size=(count or IMAGES[part], *shape)).astype(np.float32)


def ids(part):
    return [str(100 * len(part) + 7 * row) for row in range(IMAGES[part])]


def captions(part):
    return [f"A {item} thing , seen {place} times ." for item in ids(part) for place in range(5)]


def made(folder, *, repeated=(), per_caption=(), shape=(3, 5), newline="\n"):
    folder.mkdir(exist_ok=True)
    for part in IMAGES:
        array = regions(part, shape=shape)
        np.save(folder / f"{part}_ims.npy", np.repeat(array, 5, axis=0) if part in repeated else array)
        named = [item for item in ids(part) for _ in range(5)] if part in per_caption else ids(part)
        (folder / f"{part}_ids.txt").write_text("\n".join(named) + newline)
        (folder / f"{part}_caps.txt").write_text("\n".join(captions(part)) + newline)
    return folder


@pytest.mark.parametrize("repeated", [(), ("dev", "test"), ("train", "dev", "test")])
@pytest.mark.parametrize("per_caption", [(), ("dev", "test")])
@pytest.mark.parametrize("newline", ["\n", ""])
def test_every_copy_of_the_layout_reads_the_same(tmp_path, repeated, per_caption, newline):
    folder = made(tmp_path / "p", repeated=repeated, per_caption=per_caption, newline=newline)
    dataset = load_dataset("precomp", root=folder)
    for name, part in (("train", "train"), ("val", "dev"), ("test", "test")):
        split = dataset.split(name)
        assert list(split.image_ids) == ids(part)
        assert list(split.captions) == captions(part)
        assert split.correspondence.caption_to_image.tolist() == [row for row in range(IMAGES[part]) for _ in range(5)]
        assert np.array_equal(dataset.features(name, "regions"), regions(part))
    assert dataset.split("test").caption_ids[5] == f"{ids('test')[1]}#0"
    assert dataset.split("test").tokens[0] == ("a", ids("test")[0], "thing", "seen", "0", "times")


def test_models_get_regions_words_and_vectors(tmp_path):
    dataset = load_dataset("precomp", root=made(tmp_path / "p"))
    fine = model_inputs(dataset, ["train", "test"], image="regions", text="words", progress=False)
    assert fine.sizes["regions"] == 3
    assert fine.sizes["image_dim"] == 5
    assert fine.vocabulary is not None
    coarse = model_inputs(dataset, ["train"], image="global", text="doc2vec", progress=False)
    assert np.allclose(coarse.splits["train"].images, regions("train").mean(axis=1), atol=1e-6)
    assert coarse.sizes["text_dim"] == 300


def test_vectors_are_no_regions(tmp_path):
    dataset = load_dataset("precomp", root=made(tmp_path / "p", shape=(5,)))
    assert dataset.features("test", "global").shape == (4, 5)
    with pytest.raises(DataError, match="holds one vector an image, no regions"):
        dataset.features("test", "regions")


def test_a_caption_limit_keeps_the_first_ones(tmp_path):
    test = load_dataset("precomp", root=made(tmp_path / "p"), captions_per_image=2).split("test")
    assert [item.split("#")[1] for item in test.caption_ids] == ["0", "1"] * 4
    with pytest.raises(UsageError, match="captions_per_image"):
        load_dataset("precomp", root=tmp_path / "p", captions_per_image=0)


def test_uneven_captions_are_told_by_their_ids(tmp_path):
    folder = made(tmp_path / "p", per_caption=("test",))
    named = ["9"] * 6 + ["8"] * 5 + ["7"] * 5 + ["6"] * 4
    (folder / "test_ids.txt").write_text("\n".join(named))
    np.save(folder / "test_ims.npy", regions("test")[[0] * 6 + [1] * 5 + [2] * 5 + [3] * 4])
    dataset = load_dataset("precomp", root=folder)
    assert dataset.split("test").image_ids == ("9", "8", "7", "6")
    assert np.bincount(dataset.split("test").correspondence.caption_to_image).tolist() == [6, 5, 5, 4]
    assert np.array_equal(dataset.features("test", "regions"), regions("test"))


def test_labels_and_paths_are_joined_by_id(tmp_path):
    folder = made(tmp_path / "p")
    every = [item for part in IMAGES for item in ids(part)][::-1]
    np.savez(folder / "labels.npz", image_ids=every, labels=np.eye(len(every), dtype=np.uint8))
    (folder / "id_mapping.json").write_text(json.dumps({ids("test")[2]: "train2014/x.jpg"}))
    test = load_dataset("precomp", root=folder).split("test")
    assert test.labels.argmax(axis=1).tolist() == [every.index(item) for item in test.image_ids]
    assert test.image_paths[2] == folder / "train2014" / "x.jpg"


def test_the_fingerprint_follows_captions_and_features(tmp_path):
    before = load_dataset("precomp", root=made(tmp_path / "p")).split("test").fingerprint
    assert load_dataset("precomp", root=made(tmp_path / "q")).split("test").fingerprint == before
    one = regions("test")
    one.reshape(-1)[7] += 1e-3
    np.save(tmp_path / "q" / "test_ims.npy", one)
    assert load_dataset("precomp", root=tmp_path / "q").split("test").fingerprint != before
    np.save(tmp_path / "q" / "test_ims.npy", regions("test") + 1)
    assert load_dataset("precomp", root=tmp_path / "q").split("test").fingerprint != before


def broken(folder, change):
    change(folder)
    dataset = load_dataset("precomp", root=folder)
    dataset.features("test", "regions")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: (f / "test_ids.txt").write_text("1\n2\n"), "2 ids for 20 captions"),
        (lambda f: (f / "test_ids.txt").write_text("1\n2\n1\n3\n"), "names image 1 in two places"),
        (lambda f: (f / "test_caps.txt").write_text("a\n\nb\n"), "line 2 of .*test_caps.txt is empty"),
        (lambda f: (f / "test_caps.txt").unlink(), "caption files of dev, train are there"),
        (
            lambda f: (f / "test_ims.npy").write_bytes((f / "test_ims.npy").read_bytes()[:-9]),
            "test_ims.npy is damaged .*it ends before its data do",
        ),
        (lambda f: np.save(f / "test_ims.npy", regions("test")[:3]), "has shape .3, 3, 5. .* for 4 images"),
        (lambda f: np.save(f / "test_ims.npy", np.full((4, 3, 5), np.nan)), "not finite, for 400, 407, 414"),
        (lambda f: np.save(f / "test_ims.npy", regions("test", count=20)), "different features in the rows of image"),
    ],
)
def test_a_broken_folder_is_named_in_one_line(tmp_path, change, message):
    with pytest.raises(DataError, match=message) as caught:
        broken(made(tmp_path / "p"), change)
    assert "\n" not in str(caught.value)


def test_wrong_counts_and_a_missing_folder_are_refused(tmp_path):
    folder = made(tmp_path / "p")
    with pytest.raises(DataError, match="has 4 images, expected 1000"):
        load_dataset("precomp", root=folder, expected={"test": 1000}).split("test")
    with pytest.raises(DataError, match="there is no folder"):
        load_dataset("precomp", root=tmp_path / "nowhere")
    with pytest.raises(DataError, match="no split 'dev'; it has train, val, test"):
        load_dataset("precomp", root=folder).split("dev")


@pytest.mark.parametrize("counts", [(2, 2, 5), (2, 2, 2), (5, 2, 2), (1, 3)])
def test_repeated_rows_are_left_out_whatever_the_last_image_has(tmp_path, counts):
    """Once (2, 2, 5) gave every second of nine rows, five rows for three images."""
    owners = np.repeat(np.arange(len(counts)), counts)
    array = np.random.default_rng(0).normal(size=(len(counts), 3, 5)).astype(np.float32)
    np.save(tmp_path / "test_ims.npy", array[owners])
    (tmp_path / "test_ids.txt").write_text("\n".join(map(str, owners)))
    (tmp_path / "test_caps.txt").write_text("\n".join(f"a dog {n}" for n in range(sum(counts))))
    dataset = load_dataset("precomp", root=tmp_path)
    assert np.array_equal(dataset.features("test", "regions"), array)
    assert dataset.split("test").correspondence.caption_to_image.tolist() == owners.tolist()


@pytest.mark.parametrize("inside", ["\u2028", "\x85", "\x0c", "\x1c"])
def test_a_caption_may_hold_a_line_break_of_unicode(tmp_path, inside):
    folder = made(tmp_path / "p")
    lines = captions("test")
    lines[2] = f"a dog{inside}runs"
    (folder / "test_caps.txt").write_bytes(b"\xef\xbb\xbf" + "\n".join(lines).encode())
    assert load_dataset("precomp", root=folder).split("test").captions == tuple(lines)
