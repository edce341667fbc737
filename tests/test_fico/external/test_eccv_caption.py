"""ECCV Caption and CxC against the functions of the authors' package, on random rankings of the whole test split."""

import contextlib
import gzip
import io
import json
import os
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from fico import Correspondence, evaluate_scores
from fico.errors import DataError, UsageError
from fico.external.eccv_caption import SIXTH_CAPTIONS, eccv_caption_positives

DATA = Path(os.environ.get("FICO_DATA_DIR", Path(__file__).parents[4] / "shared/data"))


def authors():
    pytest.importorskip("eccv_caption", reason="the extra eccv is not installed")
    with warnings.catch_warnings(action="ignore"):
        from eccv_caption import Metrics

        return Metrics()


@pytest.fixture(scope="module")
def split():
    """Ids of the images and captions of the test split, and the image row of each caption, as the package has them.

    With the two sixth captions that are positives, so that its functions find all that they look for.
    """
    given = authors().coco_gts["i2t"]
    images = list(given)
    captions = [caption for image in images for caption in given[image]]
    owners = np.repeat(np.arange(len(images)), [len(given[image]) for image in images])
    return images, [*captions, *map(int, SIXTH_CAPTIONS)], np.append(owners, [0, 0])


@pytest.fixture(scope="module")
def scores(split):
    """Better than chance, so that every metric has something to count; no score twice, as the lists know no ties."""
    generator = np.random.default_rng(0)
    images = generator.standard_normal((len(split[0]), 32)).astype(np.float32)
    texts = images[split[2]] + 1.2 * generator.standard_normal((len(split[1]), 32)).astype(np.float32)
    return images @ texts.T


@pytest.fixture(scope="module")
def lists(split, scores):
    """The 60 best items of each query, as the package takes them; no query has more positives."""
    images, captions, _ = split
    found = {}
    for direction, matrix, queries, items in (("i2t", scores, images, captions), ("t2i", scores.T, captions, images)):
        best = torch.from_numpy(np.ascontiguousarray(matrix)).topk(60).indices.numpy()
        found[direction] = dict(zip(queries, np.array(items)[best].tolist(), strict=True))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", ["eccv", "cxc", "original"])
def test_the_authors_functions_give_the_same_numbers(name, split, scores, lists):
    images, captions, owners = split
    pairs = eccv_caption_positives(name, images, captions, Correspondence(owners))
    result = evaluate_scores(i2t=scores, t2i=scores.T, correspondence=pairs, recall_at=(1, 5, 10), bootstrap=0)
    oracle = authors()
    recalls = {"eccv": oracle.eccv_recalls, "cxc": oracle.cxc_recalls, "original": oracle.coco_5k_recalls}[name]
    wanted = {f"R@{k}": recalls(lists, "all", K=k) for k in (1, 5, 10)}
    if name == "eccv":
        with contextlib.redirect_stderr(io.StringIO()):  # their progress bar
            precisions = oracle.eccv_metrics(lists, "all")
        wanted |= {"mAP@R": precisions["eccv_map_at_r"], "R-Precision": precisions["eccv_rprecision"]}
    for metric, values in wanted.items():
        for direction, value in values.items():
            assert result.metrics[f"instance/{direction}/{metric}"] == pytest.approx(value, abs=1e-12), metric


def test_every_query_and_pair_of_the_package_is_there(split):
    images, captions, owners = split
    pairs = eccv_caption_positives("eccv", images, captions, Correspondence(owners))
    assert (pairs.image_queries.sum(), pairs.caption_queries.sum()) == (1261, 1332)
    in_i2t = pairs.image_queries[pairs.pairs[:, 0]].sum()
    assert in_i2t == sum(map(len, authors().eccv_gts["i2t"].values()))
    np.testing.assert_array_equal(pairs.caption_to_image, owners)
    first_five = eccv_caption_positives("eccv", images, captions[:-2], Correspondence(owners[:-2]))
    assert len(first_five.pairs) == len(pairs.pairs) - 2


def test_the_caption_ids_are_those_of_karpathys_file(split):
    path = DATA / "coco_karpathy_test5k/dataset_coco_test5k.json.gz"
    if not path.exists():
        pytest.skip(f"no {path.parent}")
    given = json.loads(gzip.decompress(path.read_bytes()))["images"]
    rows = [(image["cocoid"], caption["sentid"]) for image in given for caption in image["sentences"][:5]]
    assert set(rows) == {(split[0][row], caption) for row, caption in zip(split[2][:-2], split[1][:-2], strict=True)}


def made_up(folder, monkeypatch):
    """A package of the same form with three images."""
    data = folder / "eccv_caption/data"
    data.mkdir(parents=True)
    (data.parent / "__init__.py").write_text("raise RuntimeError('it shall not be imported')")
    (data / "eccv_image_to_caption.json").write_text(json.dumps({"10": [100, 102], "12": [104]}))
    (data / "eccv_caption_to_image.json").write_text(json.dumps({"100": [10, 11]}))
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "eccv_caption", raising=False)


def test_the_queries_of_each_direction_are_those_that_were_annotated(tmp_path, monkeypatch):
    made_up(tmp_path, monkeypatch)
    ids = [str(number) for number in range(100, 106)]
    pairs = eccv_caption_positives("eccv", ["10", "11", "12"], ids, Correspondence([0, 0, 1, 1, 2, 2]))
    assert pairs.pairs.tolist() == [[0, 0], [0, 2], [1, 0], [2, 4]]
    assert pairs.image_queries.tolist() == [True, False, True]
    assert np.flatnonzero(pairs.caption_queries).tolist() == [0]


def test_another_split_and_an_unknown_set_are_refused(tmp_path, monkeypatch):
    made_up(tmp_path, monkeypatch)
    with pytest.raises(DataError, match="names the image 12, which is not among the 2 images here; it belongs to"):
        eccv_caption_positives("eccv", ["10", "11"], ["100", "102", "104"], Correspondence([0, 0, 1]))
    with pytest.raises(UsageError, match="no set 'pm'"):
        eccv_caption_positives("pm", ["10"], ["100"], Correspondence([0]))


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setattr("fico.external.eccv_caption.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"eccv_caption is not installed.*fico\[eccv\]"):
        eccv_caption_positives("eccv", ["10"], ["100"], Correspondence([0]))
