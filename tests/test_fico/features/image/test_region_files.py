"""Region features of others: all formats give the same images."""

import base64
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

from fico.errors import DataError
from fico.features.image.region_files import read_h5, read_npy, read_tsv
from fico.features.image.region_source import region_file, region_steps, region_streams
from fico.features.precomputed import read_precomputed

IDS = ("17", "4", "239")
FEATURES = np.random.default_rng(0).normal(size=(3, 5, 7)).astype(np.float32)


def _npy(path, array=FEATURES):
    np.save(path, array)
    return path


def _tsv(path, features=FEATURES):
    lines = []
    for name, image in zip(IDS, features, strict=True):
        boxes = base64.b64encode(np.zeros((len(image), 4), "<f4").tobytes()).decode()
        lines.append(
            "\t".join((name, "640", "480", str(len(image)), boxes, base64.b64encode(image.tobytes()).decode()))
        )
    path.write_text("\n".join(lines))
    return path


def _h5(path, form):
    with h5py.File(path, "w") as file:
        if form == "each":
            for name, image in zip(IDS, FEATURES, strict=True):
                file[name] = image
        else:
            file[form] = FEATURES
            file["ids" if form == "features" else "image_ids"] = [int(name) for name in IDS]
    return path


def _check(images):
    found = dict(images)
    assert sorted(found) == sorted(IDS)
    for name, image in zip(IDS, FEATURES, strict=True):
        np.testing.assert_array_equal(found[name], image)
        assert found[name].dtype == np.float32


def test_every_form_gives_the_same_images(tmp_path):
    _check(read_npy(_npy(tmp_path / "dev_ims.npy"), IDS))
    _check(read_tsv(_tsv(tmp_path / "a.tsv")))
    for form in ("features", "image_features", "each"):
        _check(read_h5(_h5(tmp_path / f"{form}.h5", form)))


def test_the_repeated_layout_gives_each_image_once(tmp_path):
    counts = (2, 5, 3)
    ids = [name for name, count in zip(IDS, counts, strict=True) for _ in range(count)]
    _check(read_npy(_npy(tmp_path / "a.npy"), ids))
    _check(read_npy(_npy(tmp_path / "b.npy", FEATURES.repeat(counts, axis=0)), ids))


def test_rows_of_one_image_that_differ_are_refused(tmp_path):
    array = FEATURES.repeat(2, axis=0)
    array[3] += 1
    with pytest.raises(DataError, match="rows 2 to 3, all of image 4"):
        list(read_npy(_npy(tmp_path / "a.npy", array), [name for name in IDS for _ in range(2)]))


def test_rows_that_fit_no_count_and_scattered_captions_are_refused(tmp_path):
    path = _npy(tmp_path / "a.npy")
    with pytest.raises(DataError, match="2 images with 2 ids"):
        list(read_npy(path, IDS[:2]))
    with pytest.raises(DataError, match="two places"):
        list(read_npy(path, ("17", "4", "17")))


def _write(root, *sources):
    streams = region_streams(sources)
    file = region_file(root, {"test": SimpleNamespace(image_ids=IDS)}, streams, sources)
    return file.write(*region_steps(file, streams), progress=False)


def test_written_features_are_found_in_the_data_sets_folder(tmp_path):
    _write(tmp_path, _tsv(tmp_path / "a.tsv"))
    found = read_precomputed(tmp_path, "regions", {"test": ("239", "17")}, axes=3)
    np.testing.assert_array_equal(found.rows["test"], FEATURES[[2, 0]])
    assert found.origin == "regions of a.tsv"
    assert sorted(file.name for file in (tmp_path / "features").iterdir()) == ["regions.json", "regions.npy"]


def test_another_number_of_regions_is_refused_by_the_images_name(tmp_path):
    path = _tsv(tmp_path / "a.tsv", [FEATURES[0], FEATURES[1][:3], FEATURES[2]])
    with pytest.raises(DataError, match=r"image 4 has regions of shape \(3, 7\), but the first has \(5, 7\)"):
        _write(tmp_path, path)
    assert read_precomputed(tmp_path, "regions", {"test": IDS}, axes=3) is None


@pytest.mark.parametrize("line", ["17\t640\t480\t5", "17\t640\t480\t5\tAAAA\t###", "17\t640\t480\t2\tAAAA\tAAAAAA=="])
def test_a_broken_line_is_named(tmp_path, line):
    path = tmp_path / "a.tsv"
    path.write_text(_tsv(path).read_text() + "\n" + line)
    with pytest.raises(DataError, match="line 4"):
        list(read_tsv(path))


def test_files_of_another_form_are_refused(tmp_path):
    (tmp_path / "a.h5").write_bytes(b"no")
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["boxes"] = np.zeros(3)
    for name in ("a.h5", "b.h5"):
        with pytest.raises(DataError, match=name):
            list(read_h5(tmp_path / name))
    with pytest.raises(DataError, match=r"c\.npy"):
        list(read_npy(tmp_path / "c.npy", IDS))
    (tmp_path / "empty.tsv").touch()
    with pytest.raises(DataError, match="no region features"):
        _write(tmp_path, tmp_path / "empty.tsv")
