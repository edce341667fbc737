"""Copies of a picture keep its hash within a few bits, however they were saved; other pictures do not come near."""

import io

import numpy as np
import pytest
from PIL import Image, ImageFilter

from fico.cli.data.overlap import LEAST_CORRELATION, MOST_BITS
from fico.images.perceptual_hash import BITS, correlations, perceptual_hashes, thumbnail

PICTURES = 16


def picture(seed):
    """Smooth blobs of several sizes with noise, as photographs have most energy in low frequencies."""
    rng = np.random.default_rng(seed)
    rough = Image.fromarray(rng.integers(0, 255, (5, 7, 3), dtype=np.uint8))
    image = rough.resize((160, 120), Image.Resampling.BICUBIC)
    noise = Image.fromarray(rng.integers(0, 255, (120, 160, 3), dtype=np.uint8)).filter(ImageFilter.GaussianBlur(2))
    return Image.blend(image, noise, 0.15)


def saved(image, quality):
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer)


COPIES = {
    "jpeg 30": lambda image: saved(image, 30),
    "half": lambda image: image.resize((80, 60), Image.Resampling.BICUBIC),
    "a third": lambda image: image.resize((53, 40), Image.Resampling.BILINEAR),
    "square": lambda image: image.resize((224, 224)),
    "grey": lambda image: image.convert("L"),
    "brighter": lambda image: image.point(lambda value: value * 1.1),
}


def thumbnails(tmp_path, images):
    found = []
    for number, image in enumerate(images):
        path = tmp_path / f"{number}.bmp"
        image.save(path)
        found.append(thumbnail(path))
    return np.stack(found)


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    return thumbnails(tmp_path_factory.mktemp("originals"), map(picture, range(PICTURES)))


@pytest.mark.parametrize("copy", COPIES)
def test_copies_are_found(tmp_path, originals, copy):
    copied = thumbnails(tmp_path, (COPIES[copy](picture(seed)) for seed in range(PICTURES)))
    bits = np.bitwise_count(perceptual_hashes(originals) ^ perceptual_hashes(copied))
    assert bits.max() <= MOST_BITS
    assert correlations(originals, copied).min() >= LEAST_CORRELATION


def test_other_pictures_differ_in_about_half_of_the_bits(originals):
    hashes = perceptual_hashes(originals)
    bits = np.bitwise_count(hashes[:, None] ^ hashes)[np.triu_indices(PICTURES, 1)]
    assert bits.min() > MOST_BITS
    assert abs(bits.mean() - BITS / 2) < 2


def test_the_hash_is_that_of_a_slow_second_version(originals):
    from scipy.fft import dct

    for shown, found in zip(originals[:5], perceptual_hashes(originals[:5]), strict=True):
        low = dct(dct(shown.astype(float), axis=0, norm="ortho"), axis=1, norm="ortho")[:8, :8].ravel()[1:]
        middle = sorted(low)[31]
        assert int(found) == sum(1 << bit for bit, value in enumerate(low) if value > middle)


def test_a_picture_of_one_shade_resembles_nothing(originals):
    flat = np.full_like(originals[:2], 7)
    assert correlations(flat, originals[:2]).tolist() == [0, 0]
    assert correlations(flat[:0], flat[:0]).shape == (0,)
