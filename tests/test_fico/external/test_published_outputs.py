import shutil
from functools import cache

import numpy as np
import pytest
from scipy.io import savemat
from typer.testing import CliRunner

from fico.cli.app import app
from fico.errors import DataError, UsageError
from fico.external.model_outputs import evaluate_outputs
from fico.external.published_outputs import MODELS, find_published, read_published
from fico.report.paper.published_metrics import CATEGORY, DEEP_RECALL, INSTANCE, published

IMAGES, EACH, BITS = 12, 5, 16
SIZES = {"f30k": IMAGES * EACH, "coco": IMAGES * EACH + 2}  # two COCO images have a sixth caption
QUICK = {"bootstrap": 2, "recall_at": (1, 5, 10), "map_at": (5,)}


def owners_of(dataset):
    grouped = np.repeat(np.arange(IMAGES), EACH)
    return grouped if dataset == "f30k" else np.sort(np.concatenate([grouped, [2, 7]]))


@pytest.fixture(scope="module")
def truth():
    """Single images, captions and codes of both data sets; every file below is one of these in another form."""
    generator = np.random.default_rng(0)
    found = {}
    for dataset in SIZES:
        owners = owners_of(dataset)
        images = generator.normal(size=(IMAGES, 6)).astype(np.float32)
        codes = generator.choice([-1, 1], (IMAGES, BITS)).astype(np.int8)
        flips = np.where(generator.random((len(owners), BITS)) < 0.2, -1, 1).astype(np.int8)
        found[dataset] = {
            "owners": owners,
            "images": images,
            "texts": (images[owners] + generator.normal(size=(len(owners), 6))).astype(np.float32),
            "image_codes": codes,
            "text_codes": codes[owners] * flips,
            "labels": generator.random((IMAGES, 4)) < 0.4,
        }
    return found


@pytest.fixture(scope="module")
def folder(truth, tmp_path_factory):
    """All twelve models in the forms of the collection: all COCO captions for beit3, five an image elsewhere."""
    folder = tmp_path_factory.mktemp("results_data")
    for dataset in SIZES:
        write(folder, dataset, truth[dataset])
    np.save(folder / "flickr30k-karpathy-test-labels.npy", truth["f30k"]["labels"].astype(np.uint8))
    savemat(folder / "coco-karpathy-testall-lall.mat", {"LAll": truth["coco"]["labels"].astype(np.uint8)})
    np.save(folder / "mscoco_test_indices.npy", truth["coco"]["owners"])
    return folder


def first_five(truth):
    """Rows of the first five captions of each image."""
    owners = truth["owners"]
    return np.sort(np.concatenate([np.flatnonzero(owners == image)[:EACH] for image in range(IMAGES)]))


def write(folder, dataset, truth):
    def save(model, part, array):
        np.save(folder / f"{model}_{dataset}_{part}.npy", array)

    five = first_five(truth)
    owners, images, texts = truth["owners"][five], truth["images"], truth["texts"][five]
    save("beit3", "img", images)
    save("beit3", "txt", truth["texts"])
    for model in ("imram", "scan", "blip2(nf)", "xvlm(nf)"):
        save(model, "sim", images @ texts.T)
    save("dadh", "sim", -(BITS - truth["text_codes"][five].astype(int) @ truth["image_codes"].T))
    save("blip2", "sim_i2t", images @ texts.T)
    save("blip2", "sim_t2i", texts @ images.T + 1)
    save("xvlm", "sim_i2t", images @ texts.T)
    save("xvlm", "sim_t2i", (texts @ images.T + 1).T)  # stored the other way: its shape tells
    save("vsrn", "img", images[owners])
    save("vsrn", "txt", texts)
    save("ucch", "img", truth["image_codes"][owners])
    save("ucch", "txt", truth["text_codes"][five])
    if dataset == "f30k":
        for model in ("adv(64bit)", "adv(2048bit)"):
            save(model, "img", truth["image_codes"])
            save(model, "txt", truth["text_codes"][five])


@cache
def metrics_of(folder, model, dataset):
    found = read_published(folder, model, dataset)
    return evaluate_outputs(found.outputs, QUICK).metrics


def recall(scores, owners, k):
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.mean([owner in row for owner, row in zip(owners, order, strict=True)])


def cosine(texts, images):
    unit = [side / np.linalg.norm(side, axis=1, keepdims=True) for side in (texts, images)]
    return unit[0] @ unit[1].T


def test_all_twelve_models_are_found_in_the_order_of_the_tables(folder):
    found = find_published(folder)
    assert [model for model, dataset in found if dataset == "f30k"] == list(MODELS)
    assert {model for model, dataset in found if dataset == "coco"} == set(MODELS) - {"adv(64bit)", "adv(2048bit)"}


@pytest.mark.parametrize("dataset", SIZES)
@pytest.mark.parametrize("model", ["scan", "imram", "blip2(nf)", "xvlm(nf)", "vsrn", "beit3", "xvlm", "blip2"])
def test_every_form_gives_the_recall_of_a_plain_count(folder, truth, model, dataset):
    data = truth[dataset]
    rows = slice(None) if model == "beit3" else first_five(data)
    texts, owners = data["texts"][rows], data["owners"][rows]
    scores = cosine(texts, data["images"]) if model in ("beit3", "vsrn") else texts @ data["images"].T
    metrics = metrics_of(folder, model, dataset)
    for k in (1, 5, 10):
        assert metrics[f"instance/t2i/R@{k}"] == pytest.approx(recall(scores, owners, k))


@pytest.mark.parametrize("model", ["ucch", "dadh", "adv(64bit)", "adv(2048bit)"])
def test_codes_and_the_transposed_matrix_give_the_same_numbers(folder, model):
    assert metrics_of(folder, model, "f30k") == pytest.approx(metrics_of(folder, "ucch", "f30k"))


def test_the_two_directions_of_a_fused_model_are_kept_apart(folder, truth):
    outputs = read_published(folder, "blip2", "coco").outputs
    np.testing.assert_allclose(outputs.t2i, outputs.i2t.T + 1, rtol=1e-5)
    turned = read_published(folder, "xvlm", "coco")
    np.testing.assert_array_equal(turned.outputs.t2i, outputs.t2i)
    assert any("transposed" in note for note in turned.notes)


def test_coco_captions_follow_the_index_file_where_it_fits_and_groups_of_five_elsewhere(folder, truth):
    all_captions = read_published(folder, "beit3", "coco").outputs.correspondence.caption_to_image
    np.testing.assert_array_equal(all_captions, truth["coco"]["owners"])
    five = read_published(folder, "scan", "coco").outputs.correspondence.caption_to_image
    np.testing.assert_array_equal(five, np.repeat(np.arange(IMAGES), EACH))


def test_each_data_set_has_its_own_labels(folder, truth):
    for dataset in SIZES:
        np.testing.assert_array_equal(read_published(folder, "scan", dataset).outputs.labels, truth[dataset]["labels"])


@pytest.fixture
def copy(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "copy")


def test_without_its_labels_a_data_set_has_no_category_metrics_and_borrows_none(copy):
    (copy / "coco-karpathy-testall-lall.mat").unlink()
    assert read_published(copy, "scan", "coco").outputs.labels is None
    assert not any(name.startswith("category") for name in metrics_of(copy, "scan", "coco"))


@pytest.mark.parametrize(("more", "words"), [(2, "groups of 5"), (10, r"mscoco_test_indices\.npy into")])
def test_without_the_index_file_more_captions_than_five_an_image_are_refused(copy, truth, more, words):
    (copy / "mscoco_test_indices.npy").unlink()
    texts = truth["coco"]["texts"]
    np.save(copy / "beit3_coco_txt.npy", np.concatenate([texts[:60], texts[:more]]))
    with pytest.raises(DataError, match=words):
        read_published(copy, "beit3", "coco")


def test_a_square_t2i_matrix_is_read_only_as_told(copy, truth):
    data = truth["f30k"]
    square = data["texts"] @ data["images"][data["owners"]].T + np.arange(60)[:, None] * 0.01
    np.save(copy / "blip2_f30k_sim_t2i.npy", square)
    np.save(copy / "blip2_f30k_sim_i2t.npy", square.T)
    with pytest.raises(UsageError, match="--t2i-orientation"):
        read_published(copy, "blip2", "f30k")
    outputs = read_published(copy, "blip2", "f30k", "captions-images").outputs
    np.testing.assert_array_equal(outputs.t2i, square[:, ::EACH])
    np.testing.assert_array_equal(outputs.i2t, square.T[::EACH])


def test_copies_that_differ_are_refused(copy):
    images = np.load(copy / "vsrn_f30k_img.npy")
    images[3] += 1
    np.save(copy / "vsrn_f30k_img.npy", images)
    with pytest.raises(DataError, match="row 3 should be a copy of row 0"):
        read_published(copy, "vsrn", "f30k")


@pytest.mark.parametrize("part", ["img", "txt", "sim_t2i"])
def test_a_missing_half_is_named(copy, part):
    model = "blip2" if "sim" in part else "beit3"
    (copy / f"{model}_f30k_{part}.npy").unlink()
    with pytest.raises(DataError, match=r"_f30k_|_txt\.npy"):
        read_published(copy, model, "f30k")


def test_a_folder_without_published_files_is_refused(tmp_path):
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(DataError, match="published output"):
            find_published(folder)


def keep(folder, *models):
    """Removes the arrays of other models on Flickr30K and all of COCO."""
    for path in folder.glob("*.npy"):
        if not path.name.startswith((*(f"{model}_f30k" for model in models), "flickr30k")):
            path.unlink()


class TestCommand:
    def run(self, folder, *arguments):
        given = ["evaluate", "--bootstrap", "2", "--results-data", str(folder), *map(str, arguments)]
        return CliRunner().invoke(app, given)

    @pytest.fixture(scope="class")
    def printed(self, folder):
        """What it prints on all models."""
        done = self.run(folder)
        assert done.exit_code == 0, done.output
        return done.stdout

    def test_it_prints_the_rows_beside_the_paper_with_differences(self, folder, printed):
        lines = printed.splitlines()
        start = next(place for place, line in enumerate(lines) if "Table 2" in line and "Flickr30K" in line)
        row = next(place for place in range(start, len(lines)) if lines[place].startswith("ucch"))
        here, paper, difference = (lines[place].split()[-6:] for place in (row, row + 1, row + 2))
        assert paper == ["12.7", "30.7", "40.6", "8.7", "25.8", "37.4"]
        ours = metrics_of(folder, "ucch", "f30k")
        assert here[:3] == [f"{100 * ours[f'instance/i2t/R@{k}']:.2f}" for k in (1, 5, 10)]
        for a, b, gap in zip(here, paper, difference, strict=True):
            assert float(gap) == pytest.approx(float(a) - float(b), abs=0.011)
        assert max(map(len, lines)) <= 100
        assert "Table 3" in printed
        assert "Table 4" in printed

    def test_every_number_of_the_paper_stands_there(self, printed):
        lines = printed.splitlines()
        row = next(place for place, line in enumerate(lines) if line.startswith("scan"))
        assert lines[row + 1].split() == ["paper", "44.9", "76.7", "86.7", "33.7", "62.8", "75.2"]

    def test_a_broken_model_is_named_and_the_others_are_printed(self, copy):
        keep(copy, "scan", "vsrn")
        np.save(copy / "scan_f30k_sim.npy", np.zeros((7, 60), np.float32))
        done = self.run(copy)
        assert done.exit_code == 1
        assert "scan on Flickr30K" in done.stderr
        assert "vsrn" in done.stdout

    def test_own_files_beside_it_are_wrong_usage(self, folder):
        done = self.run(folder, "--images", "x.npy")
        assert done.exit_code == 2
        assert "leave out --images" in done.stderr

    def test_the_run_files_of_each_model_are_written(self, copy, tmp_path):
        keep(copy, "ucch")
        assert self.run(copy, "--out", tmp_path / "out").exit_code == 0
        assert (tmp_path / "out" / "f30k-ucch" / "results.json").is_file()


def test_the_numbers_of_the_paper_are_percents_of_known_models():
    for numbers in (INSTANCE, DEEP_RECALL, CATEGORY):
        for (dataset, model, way), row in numbers.items():
            assert dataset in SIZES
            assert model in MODELS
            assert way in ("i2t", "t2i")
            assert all(value is None or 0 < value <= 100 for value in row)
            assert (dataset, model, "t2i" if way == "i2t" else "i2t") in numbers
    for (*_, way), row in [*INSTANCE.items(), *DEEP_RECALL.items()]:
        assert list(row) == sorted(row), way
    assert published(INSTANCE, "f30k", "ucch", "i2t", 2) == 40.6
    assert published(INSTANCE, "f30k", "blip2", "i2t", 1) == 100.0
    assert published(CATEGORY, "f30k", "blip2", "i2t", 2) is None  # as printed: a re-ranking has no mAP@N
    assert published(INSTANCE, "coco", "adv(64bit)", "i2t", 0) is None
