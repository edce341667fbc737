import numpy as np
import pytest

from fico.errors import DataError
from fico.formats.trec import read_trec, write_qrels, write_run
from fico.types import Ranking

OWNERS = np.array([1, 0, 0, 2, 1])
IMAGES, CAPTIONS = ("a", "b", "c"), ("v", "w", "x", "y", "z")


def ranking_of(scores):
    order = np.argsort(-scores, axis=1, kind="stable")
    return Ranking(np.take_along_axis(scores, order, 1), order)


@pytest.fixture
def scores():
    generator = np.random.default_rng(0)
    return generator.normal(size=(3, 5)).astype(np.float32), generator.normal(size=(5, 3))


@pytest.fixture
def folder(tmp_path, scores):
    write_run(tmp_path / "i2t", ranking_of(scores[0]), IMAGES, CAPTIONS, "tag")
    write_run(tmp_path / "t2i", ranking_of(scores[1]), CAPTIONS, IMAGES, "tag")
    write_qrels(tmp_path / "qrels", (image == OWNERS for image in range(3)), IMAGES, CAPTIONS)
    return tmp_path


def test_what_was_written_is_read_back_to_the_last_digit(folder, scores):
    read = read_trec(folder / "i2t", folder / "t2i", folder / "qrels")
    image = [read.image_ids.index(name) for name in IMAGES]
    caption = [read.caption_ids.index(name) for name in CAPTIONS]
    np.testing.assert_array_equal(read.i2t[np.ix_(image, caption)].astype(np.float32), scores[0])
    np.testing.assert_array_equal(read.t2i[np.ix_(caption, image)], scores[1])
    owners = read.correspondence.caption_to_image[caption]
    assert [read.image_ids[row] for row in owners] == [IMAGES[row] for row in OWNERS]


def test_the_lines_are_those_of_the_trec_tools(folder, scores):
    lines = [line.split() for line in (folder / "i2t").read_text().splitlines()]
    assert [line[0] for line in lines] == [name for name in IMAGES for _ in CAPTIONS]
    assert {line[1] for line in lines} == {"Q0"}
    assert {line[5] for line in lines} == {"tag"}
    assert [int(line[3]) for line in lines] == [1, 2, 3, 4, 5] * 3
    best = {line[0]: line[2] for line in lines if line[3] == "1"}
    assert best == {name: CAPTIONS[row] for name, row in zip(IMAGES, scores[0].argmax(1), strict=True)}
    assert (folder / "qrels").read_text().splitlines() == ["a 0 w 1", "a 0 x 1", "b 0 v 1", "b 0 z 1", "c 0 y 1"]


def test_items_that_a_run_leaves_out_come_last(folder, scores):
    short = ranking_of(scores[0])
    write_run(folder / "short", Ranking(short.scores[:, :2], short.indices[:, :2]), IMAGES, CAPTIONS, "tag")
    read = read_trec(folder / "short", None, folder / "qrels")
    assert np.isneginf(read.i2t).sum() == 3 * 3
    assert read.t2i is None


def test_an_image_without_captions_is_known_from_the_runs(folder):
    (folder / "i2t").write_text((folder / "i2t").read_text() + "lonely Q0 v 1 0.5 tag\n")
    read = read_trec(folder / "i2t", folder / "t2i", folder / "qrels")
    assert read.image_ids[-1] == "lonely"
    assert read.i2t.shape == (4, 5)


def test_a_caption_may_have_several_images_or_none(folder):
    lines = (folder / "qrels").read_text()
    (folder / "qrels").write_text(lines + "c 0 v 1\na 0 w 2\na 0 unseen 0\n")
    read = read_trec(folder / "i2t", folder / "t2i", folder / "qrels")
    names = [(read.image_ids[image], read.caption_ids[caption]) for image, caption in read.correspondence.pairs]
    assert sorted(names) == sorted([*((line.split()[0], line.split()[2]) for line in lines.splitlines()), ("c", "v")])
    own = dict(zip(read.caption_ids, read.correspondence.caption_to_image, strict=True))
    assert (own["v"], own["unseen"], read.image_ids[own["w"]]) == (-1, -1, "a")
    assert read.i2t.shape == (3, 6)


@pytest.mark.parametrize(
    ("file", "line", "words"),
    [
        ("i2t", "a Q0 v 1 0.5", "line 16 has 5 columns"),
        ("i2t", "a Q0 v 9 0.5 tag", "line 16 lists v a second time for a"),
        ("i2t", "a Q0 other 9 0.5 tag", "lists other"),
        ("t2i", "other Q0 a 9 0.5 tag", "lists other"),
        ("i2t", "d Q0 v 1 nan tag", "'nan'"),
        ("i2t", "d Q0 v 1 high tag", "'high'"),
        ("qrels", "c 0 v", "line 6 has 3 columns"),
    ],
)
def test_a_broken_line_is_named(folder, file, line, words):
    path = folder / file
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(DataError, match=words):
        read_trec(folder / "i2t", folder / "t2i", folder / "qrels")


def test_a_missing_file_and_empty_qrels_are_refused(folder):
    with pytest.raises(DataError, match="absent"):
        read_trec(folder / "absent", None, folder / "qrels")
    (folder / "qrels").write_text("a 0 v 0\n")
    with pytest.raises(DataError, match="no relevant item"):
        read_trec(folder / "i2t", None, folder / "qrels")


@pytest.mark.parametrize("name", ["", "two words", "tab\tbed"])
def test_ids_that_would_break_a_line_are_refused(tmp_path, name):
    with pytest.raises(DataError, match="id"):
        write_qrels(tmp_path / "q", [np.array([True])], [name], ["x"])
    assert list(tmp_path.iterdir()) == []
