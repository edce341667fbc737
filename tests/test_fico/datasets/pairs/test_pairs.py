"""Every form of the same pairs gives the same data set; files that tools made, and what people do to files."""

import io
import json
import tarfile
from pathlib import Path

import pytest
from PIL import Image

import fico
from fico.errors import DataError, UsageError
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


def made(folder, files, pictures=("a.jpg", "b.jpg", "c.jpg")):
    """A folder with text or bytes by name, and images."""
    for name in pictures:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6), (len(name) * 9, 90, 20)).save(folder / name)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def opened(folder, **options):
    return fico.load_dataset("pairs", root=folder, val=0, test=0, **options).split("train")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("captions.txt", "image,caption\na.jpg,one\na.jpg,two\nb.jpg,three\nc.jpg,four\n"),  # Kaggle's Flickr8k
        (
            "results.csv",
            "image_name| comment_number| comment\na.jpg| 0| one\na.jpg| 1| two\nb.jpg|0|three\nc.jpg|0|four",
        ),
        ("x.csv", "Caption;File Name\r\none;a.jpg\r\ntwo;a.jpg\r\nthree;b.jpg\r\nfour;c.jpg\r\n"),  # a European Excel
        ("x.csv", "image,caption\ra.jpg,one\ra.jpg,two\rb.jpg,three\rc.jpg,four\r"),
        ("x.csv", '"image","caption_0","caption_1"\na.jpg,one,two\nb.jpg,three,three\nc.jpg,four,four\n'),
        ("x.json", json.dumps({"a.jpg": ["one", "two"], "b.jpg": "three", "c.jpg": ["four"]})),
        (
            "x.jsonl",
            '{"img": "a.jpg", "texts": ["one", "two"]}\n\n{"img": "b.jpg", "texts": "three"}\n'
            '{"img": "c.jpg", "texts": ["four"]}',
        ),
    ],
)
def test_usual_layouts_are_read(tmp_path, name, content):
    split = opened(made(tmp_path, {name: content}))
    assert captions(split) == (["one", "two"], ["three"], ["four"])
    assert split.image_ids == ("a", "b", "c")


def test_images_with_a_text_file_beside_each(tmp_path):
    files = {"train/x/a.txt": "one\n\ntwo", "train/y/a.txt": "three", "val/a.txt": "four", "test/a.txt": "five"}
    made(tmp_path, files, ["train/x/a.jpg", "train/y/a.PNG", "val/a.jpg", "test/a.webp"])
    dataset = fico.load_dataset("pairs", root=tmp_path)
    assert captions(dataset.split("train")) == (["one", "two"], ["three"])
    assert dataset.split("train").image_ids == ("train/x/a", "train/y/a")
    assert captions(dataset.split("test")) == (["five"],)


def test_files_that_name_their_split_belong_together(tmp_path):
    tables = {
        f"{split}.csv": f"image,caption\n{file},about {file}\n"
        for split, file in zip(("train", "dev", "test"), ("a.jpg", "b.jpg", "c.jpg"), strict=True)
    }
    dataset = fico.load_dataset("pairs", root=made(tmp_path, tables))
    assert [dataset.split(name).captions for name in ("train", "val", "test")] == [
        ("about a.jpg",),
        ("about b.jpg",),
        ("about c.jpg",),
    ]


def test_tables_in_the_folders_of_the_splits_look_for_images_beside_them(tmp_path):
    tables = {f"{split}/metadata.csv": "file_name,text\n1.jpg,one\n" for split in ("train", "validation", "test")}
    dataset = fico.load_dataset(
        "pairs", root=made(tmp_path, tables, [f"{s}/1.jpg" for s in ("train", "validation", "test")])
    )
    assert {dataset.split(name).image_ids for name in ("train", "val", "test")} == {
        ("train/1",),
        ("validation/1",),
        ("test/1",),
    }


def test_missing_splits_are_drawn_by_ids_and_seed_and_the_notes_say_so(tmp_path):
    names = [f"{n}.jpg" for n in range(20)]
    lines = [f"{name},caption of {name}" for name in names]
    first = made(tmp_path / "a", {"x.csv": "\n".join(["image,caption", *lines])}, names)
    second = made(tmp_path / "b", {"x.csv": "\n".join(["image,caption", *reversed(lines)])}, names)
    sets = [
        fico.load_dataset("pairs", root=root, val=0.2, test=0.1, **more)
        for root, more in ((first, {}), (second, {}), (first, {"seed": 1}))
    ]
    ids = [{name: set(dataset.split(name).image_ids) for name in ("train", "val", "test")} for dataset in sets]
    assert ids[0] == ids[1] != ids[2], "the rows' order does not matter, the seed does"
    assert {name: len(found) for name, found in ids[0].items()} == {"train": 14, "val": 4, "test": 2}
    assert "2 of their 20 training images were drawn by hashed ids, seed 0" in " ".join(sets[0].split("test").notes)


def test_duplicate_rows_are_left_out_and_counted(tmp_path):
    rows = "image,caption\na.jpg,one\na.jpg,one\na.jpg,two\nb.jpg,one\nimages/../b.jpg,one\n"
    split = opened(made(tmp_path, {"x.csv": rows}))
    assert captions(split) == (["one", "two"], ["one"])
    assert split.notes == ("2 rows that repeat image and caption were left out",)


def test_paths_may_be_absolute_windows_or_below_images_but_not_outside(tmp_path):
    made(tmp_path, {}, ["secret.jpg", "d/images/sub/a.jpg", "d/b.jpg"])
    folder, rows = tmp_path / "d", f"image,caption\nsub\\a.jpg,one\n{tmp_path}/d/b.jpg,two\n"
    split = opened(made(folder, {"x.csv": rows}, []))
    assert split.image_ids == ("sub/a", "b")
    for outside in ("../secret.jpg", f"{tmp_path}/secret.jpg", "C:\\pictures\\a.jpg", "/etc/passwd"):
        made(folder, {"x.csv": f"image,caption\n{outside},one\n"}, [])
        with pytest.raises(DataError, match=r"line 2 of .* outside of .*; set dataset\.image_root"):
            opened(folder)
    made(folder, {"x.csv": "image,caption\nsecret.jpg,one\n"}, [])
    assert opened(folder, image_root=tmp_path).image_ids == ("secret",)


def test_names_that_differ_in_the_suffix_alone_stay_two_images(tmp_path):
    made(tmp_path, {"x.csv": "image,caption\na.jpg,one\na.png,two\nb.jpg,three\n"}, ["a.jpg", "a.png", "b.jpg"])
    assert opened(tmp_path).image_ids == ("a.jpg", "a.png", "b")


def test_long_captions_and_any_script_are_kept_whole(tmp_path):
    texts = ["word " * 1999 + "dogs", "一只狗在草地上", "كلب على العشب", "กขค", "🐕 🌱"]
    assert len(texts[0]) > 9_990
    (tmp_path / "x.jsonl").write_text("\n".join(json.dumps({"image": "a.jpg", "caption": text}) for text in texts))
    split = opened(made(tmp_path, {}))
    assert split.captions == tuple(texts)
    assert len(split.tokens[0]) == 2000


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (
            {"x.csv": "picture_of,words\na.jpg,one\n"},
            r"no column .* usual name of the image .* only picture_of, words; name one",
        ),
        ({"x.csv": "a.jpg,one\nb.jpg,two\n"}, r"has no header: it begins with a\.jpg, one"),
        ({"x.csv": "image,caption\n"}, "holds no pairs"),
        ({"x.csv": ""}, "holds no pairs"),
        ({"x.csv": "image,caption\na.jpg,one\nb.jpg, \n"}, r"line 3 of .* has no caption in 'caption'"),
        ({"x.csv": "image,caption\na.jpg,one, two\n"}, "line 2 of .* has 3 fields, but the header has 2"),
        ({"x.csv": 'image,caption\na.jpg,"one\nb.jpg,two\n'}, "is no row of a CSV file .*; check its quotes"),
        ({"x.csv": "image,caption\n,one\n"}, "line 2 of .* names no image"),
        ({"x.csv": "image,caption\na.jpg,one\nd.jpg,two\n"}, r"1 of 2 images .* have no file, the first is .*d\.jpg"),
        (
            {"x.csv": "image,caption,split\na.jpg,1,train\na.jpg,2,test\n"},
            "line 3 of .* puts .* a.jpg into split test, but line 2",
        ),
        (
            {"x.csv": "image,caption,split\na.jpg,one,fold7\n"},
            r"line 2 of .* has the split 'fold7', expected one of train",
        ),
        (
            {"x.csv": "image,caption,split\na.jpg,one,test\n"},
            r"'train' of .* has no images; the splits there: test \(1\)",
        ),
        (
            {"x.csv": "image,caption\na.jpg,caf\xe9\n".encode("latin-1")},
            r"not UTF-8 in line 2 \(byte 0xe9, .*iconv -f CP1252",
        ),
        (
            {"x.csv": "image,caption\na.jpg,one\n".encode("utf-16")},
            r"not UTF-8 in line 1 \(byte 0xff, .*iconv -f UTF-16",
        ),
        (
            {"x.csv": "image,caption\na.jpg,one\n", "y.csv": "image,caption\nb.jpg,one\n"},
            r"holds 2 files .* \(x\.csv, y\.csv\); give the path",
        ),
        ({"x.json": '{"images": []}'}, "take dataset=karpathy"),
        ({"x.json": '{"image": {"0": "a.jpg"}}'}, r'to_json\(orient="records"\)'),
        ({"x.json": '["a"]'}, "object 1 of .* is 'a', expected an object"),
        ({"x.jsonl": '{"image": "a.jpg", "caption": "one"}\n{"image"'}, "line 2 of .* is no JSON"),
        ({"x.jsonl": '{"image": "a.jpg", "caption": 7}'}, "line 1 of .* has no caption .*holds 7"),
        ({"x.tar": b"no archive"}, "is no readable tar"),
        ({"a.txt": "one"}, "2 of 3 images in .* have no .txt with captions beside them, the first is b.jpg"),
        ({"a.txt": "\n", "b.txt": "one", "c.txt": "one"}, r"a\.txt is empty"),
    ],
)
def test_broken_tables_end_with_one_sentence(tmp_path, files, told):
    with pytest.raises(DataError, match=told) as refused:
        opened(made(tmp_path, files))
    assert "\n" not in str(refused.value)


def test_a_folder_without_images_and_a_missing_one_are_named(tmp_path):
    with pytest.raises(DataError, match="holds no pairs: no table .* correct the path of the data set"):
        opened(tmp_path)
    with pytest.raises(DataError, match="there is no file or folder"):
        opened(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"is of no kind that is read here \(\.csv"):
        opened(made(tmp_path, {"x.docx": "x"}) / "x.docx")


def test_a_column_that_is_not_there_is_refused_with_those_that_are(tmp_path):
    made(tmp_path, {"x.csv": "file,alt,caption\na.jpg,one,two\n"})
    with pytest.raises(
        UsageError,
        match=r"no column 'captoin' \(dataset\.caption_column\), only file, alt, caption; did you mean caption",
    ):
        opened(tmp_path, caption_column="captoin")
    assert opened(tmp_path, caption_column="alt").captions == ("one",)
    with pytest.raises(UsageError, match=r"dataset\.val is 0\.6 and dataset\.test is 0\.5"):
        fico.load_dataset("pairs", root=tmp_path, val=0.6, test=0.5)


def test_a_damaged_parquet_file_is_named(tmp_path):
    pytest.importorskip("pyarrow")
    with pytest.raises(DataError, match=r"x\.parquet is no readable Parquet file"):
        opened(made(tmp_path, {"x.parquet": b"PAR1 and no more"}))


def test_pictures_of_every_kind_are_decoded_and_broken_ones_named(tmp_path):
    import numpy as np

    from fico.features import model_inputs

    kinds = {
        "cmyk.jpg": Image.new("CMYK", (40, 30), (9, 90, 20, 0)),
        "deep.png": Image.fromarray(np.full((30, 40), 40_000, np.uint16)),
    }
    frames = [Image.new("P", (40, 30), shade) for shade in (10, 200)]
    turned = Image.new("RGB", (40, 30), (200, 9, 9))
    exif = turned.getexif()
    exif[0x0112] = 6
    for name, image in kinds.items():
        image.save(tmp_path / name)
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    turned.save(tmp_path / "turned.jpg", exif=exif)
    names = [*kinds, "moving.gif", "turned.jpg"]
    (tmp_path / "x.csv").write_text("image,caption\n" + "".join(f"{name},about {name}\n" for name in names))
    dataset = fico.load_dataset("pairs", root=tmp_path, val=0, test=0)
    split = dataset.split("train")
    assert [open_rgb(path).size for path in split.image_paths] == [(40, 30)] * 3 + [(30, 40)]
    assert model_inputs(dataset, ["train"], image="global", text="words").splits["train"].images.shape[0] == 4
    (tmp_path / "turned.jpg").write_bytes(b"\xff\xd8\xff torn")
    with pytest.raises(DataError, match=r"image turned: .*turned\.jpg is truncated or not an image"):
        model_inputs(fico.load_dataset("pairs", root=tmp_path, val=0, test=0), ["train"], image="global", text="words")


def packed(path, parts):
    with tarfile.open(path, "w:gz" if path.suffix == ".tgz" else "w") as archive:
        for name, content in parts.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def drawn(shade=90):
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6), (shade, 9, 20)).save(buffer, "PNG")
    return buffer.getvalue()


def test_archives_are_never_unpacked_under_names_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setenv("FICO_CACHE_DIR", str(tmp_path / "cache"))
    parts = {"../../x/evil.png": drawn(), "../../x/evil.txt": b"one\ntwo\n", "notes.cls": b"3"}
    split = opened(packed(tmp_path / "s.tgz", parts))
    assert captions(split) == (["one", "two"],)
    assert all(path.is_relative_to(tmp_path / "cache") for path in split.image_paths)
    assert not (tmp_path.parent / "x").exists()


def test_shards_with_the_tables_that_img2dataset_writes_beside_them(tmp_path):
    for number in range(2):
        packed(tmp_path / f"0000{number}.tar", {"000.png": drawn(number), "000.txt": f"caption {number}".encode()})
        made(tmp_path, {f"0000{number}_stats.json": "{}", f"0000{number}.parquet": b"PAR1"}, [])
    split = opened(tmp_path)
    assert split.captions == ("caption 0", "caption 1")
    assert split.image_ids == ("000.png", "000.png (2)"), "equal keys of two shards are two images"


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ({"1.png": drawn()}, r"sample 1 of .* has no caption; add 1\.txt"),
        ({"1.png": drawn(), "1.json": b"{"}, "sample 1 of .* has a caption that is no UTF-8 or no JSON"),
        ({"1.png": drawn(), "1.json": b"[3]"}, r"sample 1 of .* has no caption; add 1\.txt"),
        ({"1.png": drawn(), "1.json": b'{"caption": [3]}'}, r"sample 1 of .* has no caption; add 1\.txt"),
        ({"1.png": drawn(), "1.txt": b"caf\xe9"}, "sample 1 of .* has a caption that is no UTF-8"),
        ({"1.txt": b"one"}, "split 'train' of .* has no images"),
    ],
)
def test_samples_without_a_caption_are_named(tmp_path, parts, told):
    with pytest.raises(DataError, match=told):
        opened(packed(tmp_path / "s.tar", parts))
