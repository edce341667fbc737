"""Images of any mode become the same pixels, whenever they are decoded; only training varies them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fico.datasets.shapes.shapes import Shapes
from fico.errors import DataError, UsageError
from fico.experiment.datamodule import RetrievalDataModule
from fico.features import model_inputs
from fico.features.image import pixels
from fico.features.image.pixels import Pixels
from fico.loading.batches import CaptionPairs, ImageGroups

HALF = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}


def _picture():
    """Red on the left, blue on the right, lighter towards the bottom; wider than high."""
    array = np.zeros((20, 30, 3), np.uint8)
    array[:, :15, 0], array[:, 15:, 2] = 250, 250
    array[..., 1] = np.linspace(0, 200, 20, dtype=np.uint8)[:, None]
    return Image.fromarray(array)


def test_values_are_scaled_and_nothing_is_cut_off():
    reader = Pixels(8, (0.5, 0.25, 0.0), (0.5, 0.25, 2.0))
    white = reader.normalise(reader.square(Image.new("RGB", (30, 10), (255, 0, 255))))
    assert white.shape == (3, 8, 8)
    assert white.dtype == np.float32
    assert white[:, 3, 3].tolist() == [1.0, -1.0, 0.5]
    left, right = reader.square(_picture())[:, 0], reader.square(_picture())[:, -1]
    assert left[:, 0].min() > 200
    assert right[:, 2].min() > 200


@pytest.fixture(scope="module")
def shapes():
    return Shapes(images=24, progress=False)


def _inputs(shapes, **how):
    return model_inputs(shapes, ["train"], image=Pixels(16, **HALF, **how), text="words", progress=False)


def test_a_large_split_is_decoded_late_and_looks_the_same(shapes, monkeypatch):
    early = _inputs(shapes)
    monkeypatch.setattr(pixels, "IN_MEMORY_BYTES", 0)
    late = _inputs(shapes)
    assert early.sizes["image_size"] == 16
    assert "image_dim" not in early.sizes
    rows, others = early.splits["train"].images, late.splits["train"].images
    assert (rows.is_lazy, others.is_lazy) == (False, True)
    assert all(np.array_equal(rows[row], others[row]) for row in range(len(rows)))


def test_only_training_varies_images_and_a_seed_repeats_it(shapes):
    split, inputs = shapes.split("train"), _inputs(shapes, augment=True).splits["train"]
    plain = _inputs(shapes).splits["train"].images[0]
    assert np.array_equal(ImageGroups(split, inputs)[0].image, plain)
    first, other, again = (CaptionPairs(split, inputs, seed)[0].image for seed in (1, 2, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first, plain)


def test_captions_of_one_image_and_epochs_each_have_an_image_of_their_own(shapes):
    pairs = CaptionPairs(shapes.split("train"), _inputs(shapes, augment=True).splits["train"])
    assert pairs.image_rows[:2].tolist() == [0, 0]
    seen = [pairs[0].image, pairs[1].image]
    pairs.epoch = 1
    seen.append(pairs[0].image)
    assert len({image.tobytes() for image in seen}) == 3


@pytest.mark.parametrize("workers", [1, 2])
def test_the_number_of_processes_that_read_rows_changes_no_varied_image(shapes, workers):
    inputs = _inputs(shapes, augment=True)

    def epochs(workers):
        split = {"train": shapes.split("train")}
        data = RetrievalDataModule(split, inputs, test_split="train", batch_size=32, seed=0, workers=workers)
        loader = data.train_dataloader()
        for epoch in (0, 1):
            loader.sampler.set_epoch(epoch)
            torch.manual_seed(workers)  # what else was drawn before does not matter either
            yield torch.cat([batch.images for batch in loader])

    alone, shared = list(epochs(0)), list(epochs(workers))
    assert torch.equal(alone[0], shared[0])
    assert torch.equal(alone[1], shared[1])
    first, second = ({image.numpy().tobytes() for image in images} for images in alone)
    assert first.isdisjoint(second)


def test_a_random_part_has_the_promised_area_and_sides():
    random = np.random.default_rng(0)
    for width, height in ((100, 100), (160, 90), (60, 200), (400, 40)):
        for _ in range(50):
            left, top, right, bottom = pixels._random_box(width, height, random)
            assert 0 <= left < right <= width
            assert 0 <= top < bottom <= height
            ratio = (right - left) / (bottom - top)
            assert 0.70 < ratio < 1.42
            if width / height < 3:
                assert 0.3 < (right - left) * (bottom - top) / (width * height) <= 1


def test_files_are_read_by_several_processes_and_arrays_by_none(shapes, monkeypatch):
    def loader(inputs):
        data = RetrievalDataModule({"train": shapes.split("train")}, inputs, test_split="train", batch_size=4, seed=0)
        return data.train_dataloader()

    assert loader(_inputs(shapes)).num_workers == 0
    assert loader(_inputs(shapes, augment=True)).num_workers > 0
    monkeypatch.setattr(pixels, "IN_MEMORY_BYTES", 0)
    batch = next(iter(loader(_inputs(shapes))))
    assert batch.images.shape == (4, 3, 16, 16)


def test_a_broken_file_is_told_in_one_sentence_from_another_process_too(shapes, monkeypatch):
    monkeypatch.setattr(pixels, "IN_MEMORY_BYTES", 0)
    inputs, nowhere = _inputs(shapes), Path("nowhere.png")
    split = replace(shapes.split("train"), image_paths=(nowhere,) * len(shapes.split("train").image_paths))
    rows = replace(inputs.splits["train"], images=Pixels(16, **HALF).rows(split))
    inputs = replace(inputs, splits={"train": rows})
    data = RetrievalDataModule({"train": split}, inputs, test_split="train", batch_size=4, seed=0, workers=1)
    with pytest.raises(DataError, match=f"^image {split.image_ids[0]} has no file nowhere.png; put it there[^\\n]*$"):
        next(iter(data.test_dataloader()))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"size": 0}, "0 pixels"),
        ({"mean": (1, 2)}, "three numbers"),
        ({"std": (1, 0, 1)}, "above 0"),
        ({"resample": "cubic"}, "bicubic"),
    ],
)
def test_what_makes_no_sense_is_refused(how, message):
    with pytest.raises(UsageError, match=message):
        Pixels(**({"size": 8} | HALF | how))
