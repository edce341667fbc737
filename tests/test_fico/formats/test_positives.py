import json

import numpy as np
import pytest

from fico.errors import DataError, UsageError
from fico.formats.positives import load_positives
from fico.types import Correspondence

IMAGES, CAPTIONS = ("a", "b", "c"), ("v", "w", "x", "y")
PAIRS = [[0, 1], [0, 2], [2, 0], [2, 2]]
ROWS = dict(zip(("image_rows", "caption_rows"), np.transpose(PAIRS).tolist(), strict=True))


def written(folder, name):
    path = folder / name
    if name.endswith(".json"):
        path.write_text(json.dumps(ROWS))
    elif name.endswith(".npz"):
        np.savez(path, **ROWS)
    elif name.endswith(".csv"):
        path.write_text("caption,note,image\n" + "".join(f"{CAPTIONS[c]},ä,{IMAGES[i]}\n" for i, c in PAIRS))
    else:
        path.write_text("b 0 v 0\n" + "".join(f"image{IMAGES[i]} 0 caption{CAPTIONS[c]} 1\n" for i, c in PAIRS))
    return path


@pytest.mark.parametrize("name", ["p.json", "p.npz", "p.csv", "p.qrels"])
def test_every_form_holds_the_same_pairs(tmp_path, name):
    found = load_positives(written(tmp_path, name), IMAGES, CAPTIONS, [0, 0, 0, 1])
    assert found.pairs.tolist() == PAIRS
    assert found.caption_to_image.tolist() == [0, 0, 0, 1]
    assert load_positives(tmp_path / name, IMAGES, CAPTIONS).caption_to_image.tolist() == [2, 0, -1, -1]


def test_queries_are_those_of_the_file(tmp_path):
    np.savez(tmp_path / "p.npz", **ROWS, caption_queries=[2])
    found = load_positives(tmp_path / "p.npz", IMAGES, CAPTIONS)
    assert found.caption_queries.tolist() == [False, False, True, False]
    assert found.image_queries is None


@pytest.mark.parametrize(
    ("name", "text", "words", "error"),
    [
        ("p.json", "[[0, 1]]", "holds no object; give {'image_rows'", UsageError),
        ("p.json", '{"image_rows": [0]}', "holds image_rows; give image_rows and caption_rows", UsageError),
        ("p.json", '{"image_rows": [0], "caption_rows": [4]}', "p.json: pair 0 has caption row 4", DataError),
        ("p.npz", "no zip", "p.npz is damaged", DataError),
        ("p.csv", "image,text\na,v\n", "must name the columns image and caption", DataError),
        ("p.csv", "image,caption\na,v\na\n", "1 columns in row 3, expected 2", DataError),
        ("p.csv", "", "must name the columns", DataError),
        ("p.qrels", "a 0 z 1\n", "names the caption z, which is none of the 4 captions", DataError),
        ("p.qrels", "a 0 v 0\n", "image_rows is empty", DataError),
    ],
)
def test_a_broken_file_is_named(tmp_path, name, text, words, error):
    (tmp_path / name).write_text(text)
    with pytest.raises(error, match=words):
        load_positives(tmp_path / name, IMAGES, CAPTIONS)


def test_what_a_store_keeps_of_a_correspondence_gives_it_back():
    pairs = Correspondence.from_pairs(**ROWS, images=3, captions=4, caption_queries=[2, 0])
    again = Correspondence.from_plain(pairs.caption_to_image.tolist(), json.loads(json.dumps(pairs.plain_pairs())))
    for name in ("caption_to_image", "pairs", "caption_queries"):
        np.testing.assert_array_equal(getattr(again, name), getattr(pairs, name))
    assert (again.images, again.image_queries) == (3, None)
    assert Correspondence.from_plain([0, 1], Correspondence([0, 1]).plain_pairs()).pairs is None
