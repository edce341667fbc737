"""Any image file becomes the same upright RGB, for descriptors and pixels alike; a broken one is named."""

import numpy as np
import pytest
from PIL import Image

from fico.errors import DataError
from fico.images import descriptors
from fico.images.decode import open_rgb

QUARTER_TURN = 6  # EXIF: turn clockwise by a quarter


def _picture():
    """Red on the left, blue on the right, lighter towards the bottom; wider than high."""
    array = np.zeros((20, 30, 3), np.uint8)
    array[:, :15, 0], array[:, 15:, 2] = 250, 250
    array[..., 1] = np.linspace(0, 200, 20, dtype=np.uint8)[:, None]
    return Image.fromarray(array)


def _exif(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize(("mode", "atol"), [("RGB", 0), ("RGBA", 0), ("CMYK", 1), ("P", 60), ("L", None), ("LA", None)])
def test_any_mode_is_read_as_rgb(tmp_path, mode, atol):
    wanted = np.asarray(_picture().convert("L").convert("RGB") if mode in ("L", "LA") else _picture()).astype(int)
    path = tmp_path / ("image.tif" if mode == "CMYK" else "image.png")
    _picture().convert(mode).save(path)
    for found in (open_rgb(path, "a"), open_rgb(_picture().convert(mode))):
        assert found.mode == "RGB"
        assert np.abs(np.asarray(found) - wanted).max() <= (atol or 0)


def test_black_and_white_is_read_as_rgb(tmp_path):
    Image.new("1", (33, 57), 1).save(tmp_path / "image.png")
    assert np.asarray(open_rgb(tmp_path / "image.png")).min() == 255


def test_a_transparent_palette_keeps_its_colours(tmp_path, recwarn):
    path = tmp_path / "image.png"
    _picture().quantize(8).save(path, transparency=bytes([0, 128, 255]))
    assert open_rgb(path).getpixel((2, 2))[0] > 200
    assert not list(recwarn)


def test_16_bit_greys_keep_their_range(tmp_path):
    path = tmp_path / "image.png"
    Image.fromarray(np.array([[0, 256 * 100, 65535]], np.uint16)).save(path)
    assert np.asarray(open_rgb(path))[0, :, 1].tolist() == [0, 100, 255]


def test_floats_of_0_to_1_keep_their_range(tmp_path):
    path = tmp_path / "image.tif"
    Image.fromarray(np.array([[0, 0.4, 1]], np.float32)).save(path)
    assert np.asarray(open_rgb(path))[0, :, 1].tolist() == [0, 102, 255]


def test_an_animation_gives_its_first_frame(tmp_path):
    path = tmp_path / "image.gif"
    Image.new("RGB", (8, 8), "red").save(path, save_all=True, append_images=[Image.new("RGB", (8, 8), "blue")])
    assert open_rgb(path).getpixel((4, 4)) == (255, 0, 0)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_an_image_turned_by_the_camera_is_upright(tmp_path, suffix):
    path = tmp_path / f"image.{suffix}"
    _picture().transpose(Image.Transpose.ROTATE_90).save(path, exif=_exif(QUARTER_TURN), quality=100, subsampling=0)
    difference = np.asarray(open_rgb(path)).astype(int) - np.asarray(_picture())
    assert np.abs(difference).max() <= (0 if suffix == "png" else 8)


def test_descriptors_see_what_pixel_models_see(tmp_path):
    """Once descriptors had a decoder of their own, which clipped 16-bit greys to white and left images lying."""
    grey = np.linspace(0, 65535, 96 * 96).reshape(96, 96).astype(np.uint16)
    Image.fromarray(grey).save(tmp_path / "grey16.png")
    Image.fromarray((grey / 65535).astype(np.float32)).save(tmp_path / "float.tif")
    _picture().resize((96, 96)).transpose(Image.Transpose.ROTATE_90).save(
        tmp_path / "turned.png", exif=_exif(QUARTER_TURN)
    )
    for path in tmp_path.iterdir():
        assert (descriptors.read_picture(path, "a") == np.asarray(open_rgb(path))).all(), path.name
        assert descriptors.read_picture(path, "a").std() > 50


def test_a_large_jpeg_is_decoded_smaller_for_descriptors(tmp_path):
    path = tmp_path / "image.jpg"
    _picture().resize((1200, 1600)).save(path)
    assert open_rgb(path, draft_side=192).size == (300, 400)
    assert descriptors.read_picture(path, "a").shape == (96, 96, 3)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no file"), (b"", "not an image"), (b"<html>404</html>", "not an image"), ("cut", "truncated")],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, content, message):
    path = tmp_path / "image.png"
    if content == "cut":
        _picture().save(path)
        path.write_bytes(path.read_bytes()[:-60])
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=rf"image 17:? .*{message}") as raised:
        open_rgb(path, "17")
    assert str(path) in str(raised.value)


@pytest.mark.parametrize("value", [1.5, -0.1, np.nan])
def test_floats_of_an_unknown_range_are_refused(tmp_path, value):
    path = tmp_path / "image.tif"
    Image.fromarray(np.full((2, 2), value, np.float32)).save(path)
    with pytest.raises(DataError, match=r"image 17: .*image\.tif holds floats from .* expected 0 to 1"):
        open_rgb(path, "17")


def test_too_many_pixels_are_refused_with_the_path(tmp_path, monkeypatch):
    path = tmp_path / "image.png"
    _picture().save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200)
    with pytest.raises(DataError, match=r"image\.png is too large to decode"):
        open_rgb(path)
