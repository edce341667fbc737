import csv
import gzip
import json
import subprocess
import sys
from unittest import mock

import h5py
import numpy as np
import pytest
from safetensors.numpy import save_file
from scipy.io import savemat
from typer.testing import CliRunner

from fico.cli.app import app
from fico.embeddings.store import EmbeddingStore
from fico.report.html.page import write_report
from fico.report.results.schema import read_results

IMAGES, CAPTIONS, BITS = 24, 90, 32


@pytest.fixture(scope="module")
def data():
    """Uneven, shuffled captions, one image without any; near enough to their images to be found often."""
    generator = np.random.default_rng(0)
    owners = np.concatenate([np.arange(IMAGES - 1), generator.integers(0, IMAGES - 1, CAPTIONS - IMAGES + 1)])
    generator.shuffle(owners)
    images = generator.normal(size=(IMAGES, 8)).astype(np.float32)
    texts = (images[owners] + generator.normal(size=(CAPTIONS, 8))).astype(np.float32)
    codes = generator.choice([-1, 1], (IMAGES, BITS)).astype(np.int8)
    noise = np.where(generator.random((CAPTIONS, BITS)) < 0.3, -1, 1).astype(np.int8)
    labels = generator.random((IMAGES, 6)) < 0.3
    return {
        "images": images, "texts": texts, "owners": owners, "labels": labels,
        "image_codes": codes, "text_codes": codes[owners] * noise,
    }  # fmt: skip


@pytest.fixture(scope="module")
def files(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    for name, array in data.items():
        np.save(folder / f"{name}.npy", array)
    np.savez(folder / "labels.npz", labels=data["labels"], image_ids=np.arange(IMAGES))
    (folder / "pairs.json").write_text(json.dumps({"caption_to_image": data["owners"].tolist()}))
    np.save(folder / "i2t.npy", data["images"] @ data["texts"].T)
    np.save(folder / "t2i.npy", data["texts"] @ data["images"].T)
    return folder


def fico(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def evaluate(out, *arguments, page=mock.Mock()):  # noqa: B008 - drawing the page is most of the time
    with mock.patch("fico.report.html.page.write_report", page):
        done = fico("evaluate", "--bootstrap", 10, "--out", out, *arguments)
    assert done.exit_code == 0, done.output
    return {name: metric.value for name, metric in read_results(out).metrics.items()}


def floats(files):
    return "--images", files / "images.npy", "--texts", files / "texts.npy", "--pairs", files / "pairs.json"


@pytest.fixture(scope="module")
def reference(files, tmp_path_factory):
    out = tmp_path_factory.mktemp("reference")
    return evaluate(out, *floats(files), "--labels", files / "labels.npz", page=write_report), out


def refuses(code, words, *arguments):
    """One sentence on standard error, the exit code, and no results."""
    done = fico(*arguments)
    assert done.exit_code == code, done.output
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.output
    assert words in done.stderr
    return done


class TestEvaluate:
    def test_it_leaves_the_files_of_a_run(self, reference):
        names = {path.name for path in reference[1].iterdir()}
        assert names == {"results.json", "results.csv", "per_query.csv.gz", "report.html", "embeddings"}

    def test_its_first_rank_file_gives_its_recall(self, reference):
        metrics, out = reference
        with gzip.open(out / "per_query.csv.gz", "rt") as file:
            rows = list(csv.DictReader(file))
        for way in ("i2t", "t2i"):
            ranks = [float(row["first_rank"]) for row in rows if row["direction"] == way and row["first_rank"]]
            for k in (1, 5, 10):
                assert np.mean(np.array(ranks) <= k) == pytest.approx(metrics[f"test/instance/{way}/R@{k}"])

    def test_it_agrees_with_a_plain_count(self, data, reference):
        images, texts = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in (data["images"], data["texts"]))
        order = np.argsort(-(texts @ images.T), axis=1)
        for k in (1, 5, 10):
            plain = np.mean([owner in row[:k] for owner, row in zip(data["owners"], order, strict=True)])
            assert reference[0][f"test/instance/t2i/R@{k}"] == pytest.approx(plain)

    @pytest.mark.parametrize("form", ["npz", "safetensors", "mat", "h5"])
    def test_every_form_of_file_gives_the_same_metrics(self, tmp_path, files, data, reference, form):
        arrays = {"images": data["images"], "texts": data["texts"], "labels": data["labels"].astype(np.uint8)}
        path = tmp_path / f"all.{form}"
        if form == "h5":
            with h5py.File(path, "w") as file:
                for name, array in arrays.items():
                    file[name] = array
        else:
            {"npz": lambda p, a: np.savez(p, **a), "safetensors": lambda p, a: save_file(a, p), "mat": savemat}[form](
                path, arrays
            )
        sources = ("--images", f"{path}:images", "--texts", f"{path}:texts", "--labels", f"{path}:labels")
        assert evaluate(tmp_path / "out", *sources, "--pairs", files / "owners.npy") == reference[0]

    def test_a_score_matrix_gives_the_metrics_of_its_embeddings(self, tmp_path, files):
        scores = ("--i2t", files / "i2t.npy", "--t2i", files / "t2i.npy", "--pairs", files / "pairs.json")
        inner = evaluate(tmp_path / "a", *floats(files), "--similarity", "inner")
        assert evaluate(tmp_path / "b", *scores) == pytest.approx(inner)
        assert not (tmp_path / "b" / "embeddings").exists()

    def test_one_direction_alone_is_enough(self, tmp_path, files):
        only = evaluate(tmp_path, "--i2t", files / "i2t.npy", "--pairs", files / "pairs.json")
        assert {name.split("/")[2] for name in only} == {"i2t"}

    @pytest.mark.parametrize("form", ["signs", "bits", "packed"])
    def test_codes_in_every_form_give_the_same_metrics(self, tmp_path, files, data, form):
        sides = [data["image_codes"], data["text_codes"]]
        if form != "signs":
            sides = [side > 0 for side in sides]
        if form == "packed":
            sides = [np.packbits(side, axis=1) for side in sides]
        for name, side in zip(("a", "b"), sides, strict=True):
            np.save(tmp_path / f"{name}.npy", side)
        given = ["--images", tmp_path / "a.npy", "--texts", tmp_path / "b.npy", "--pairs", files / "pairs.json"]
        given += ["--bits", BITS] if form == "packed" else ["--similarity", "hamming"]
        found = evaluate(tmp_path / "out", *given)
        signs = (
            "--images",
            files / "image_codes.npy",
            "--texts",
            files / "text_codes.npy",
            "--pairs",
            files / "pairs.json",
        )
        assert found == evaluate(tmp_path / "signs", *signs, "--similarity", "hamming")
        results = read_results(tmp_path / "out")
        assert (results.model.bits, results.model.dtype) == (BITS, "bits")
        assert EmbeddingStore.load(tmp_path / "out" / "embeddings").images.shape == (IMAGES, BITS // 8)
        assert (
            results.metrics["test/instance/t2i/R@1"].pessimistic < results.metrics["test/instance/t2i/R@1"].optimistic
        )

    def test_ties_follow_the_option(self, tmp_path, files):
        given = (
            "--images",
            files / "image_codes.npy",
            "--texts",
            files / "text_codes.npy",
            "--pairs",
            files / "pairs.json",
        )
        low, mean, high = (
            evaluate(tmp_path / ties, *given, "--similarity", "hamming", "--ties", ties)["test/instance/t2i/R@1"]
            for ties in ("pessimistic", "expected", "optimistic")
        )
        assert low < mean < high

    def test_trec_files_read_back_give_the_same_numbers(self, tmp_path, files, reference):
        evaluate(tmp_path / "a", *floats(files), "--labels", files / "labels.npz", "--trec", tmp_path / "trec")
        runs = ("--run-i2t", tmp_path / "trec" / "i2t.run", "--run-t2i", tmp_path / "trec" / "t2i.run")
        found = evaluate(tmp_path / "b", *runs, "--qrels", tmp_path / "trec" / "i2t.instance.qrels")
        instance = {name: value for name, value in reference[0].items() if "/instance/" in name}
        assert found == pytest.approx(instance)

    def test_trec_qrels_by_category_hold_what_shares_a_label(self, tmp_path, files, data):
        evaluate(tmp_path / "a", *floats(files), "--labels", files / "labels.npz", "--trec", tmp_path / "trec")
        lines = (tmp_path / "trec" / "t2i.category.qrels").read_text().splitlines()
        shared = data["labels"].astype(int) @ data["labels"].T > 0
        wanted = {
            f"caption{c} 0 image{i} 1" for c, owner in enumerate(data["owners"]) for i in np.flatnonzero(shared[owner])
        }
        assert set(lines) == wanted

    def test_groups_of_captions_are_taken_at_their_word(self, tmp_path, files):
        np.save(tmp_path / "texts.npy", np.load(files / "images.npy").repeat(3, axis=0))
        given = ("--images", files / "images.npy", "--texts", tmp_path / "texts.npy", "--captions-per-image", 3)
        assert evaluate(tmp_path / "out", *given)["test/instance/t2i/R@1"] == 1.0


class TestSquare:
    """Files that repeat an image for each of its captions."""

    @pytest.fixture
    def square(self, tmp_path, files, data):
        np.save(tmp_path / "images.npy", data["images"][self.dense(data)])
        np.save(tmp_path / "pairs.npy", self.dense(data))
        np.save(tmp_path / "labels.npy", data["labels"][: IMAGES - 1])
        np.save(tmp_path / "plain.npy", data["images"][: IMAGES - 1])
        np.save(tmp_path / "i2t.npy", np.load(files / "i2t.npy")[self.dense(data)])
        np.save(tmp_path / "t2i.npy", np.load(files / "t2i.npy")[:, self.dense(data)])
        return tmp_path

    def dense(self, data):
        return data["owners"]

    def given(self, square, files, **changed):
        given = {"images": square / "images.npy", "texts": files / "texts.npy", "pairs": square / "pairs.npy"}
        given |= {"labels": square / "labels.npy", "similarity": "inner"}
        return [part for key, value in (given | changed).items() for part in (f"--{key}", value)]

    def test_it_gives_the_metrics_of_single_images(self, square, files):
        single = evaluate(square / "a", *self.given(square, files, images=square / "plain.npy"))
        assert evaluate(square / "b", *self.given(square, files), "--layout", "square") == single

    def test_scores_too(self, square, files):
        single = evaluate(square / "a", *self.given(square, files, images=square / "plain.npy"))
        scores = ("--i2t", square / "i2t.npy", "--t2i", square / "t2i.npy", "--pairs", square / "pairs.npy")
        found = evaluate(square / "b", *scores, "--labels", square / "labels.npy", "--layout", "square")
        assert found == pytest.approx(single)

    def test_it_is_never_guessed(self, square, files):
        refuses(1, "90 images", "evaluate", *self.given(square, files, labels=square / "labels.npy"))

    def test_the_published_gallery_counts_every_copy_for_captions_by_category_only(self, square, files, data):
        single = evaluate(square / "a", *self.given(square, files), "--layout", "square")
        found = evaluate(
            square / "b", *self.given(square, files), "--layout", "square", "--square-gallery", "as-published"
        )
        changed = {name for name in single if single[name] != found[name]}
        assert "test/category/t2i/mAP@10" in changed
        assert {name for name in changed if "/category/t2i/" not in name} == set()
        owners = data["owners"]
        scores = data["texts"] @ data["images"][owners].T
        right = data["labels"][owners].astype(int) @ data["labels"][owners].T > 0
        precisions = []
        for row, wanted in zip(scores, right, strict=True):
            hits = wanted[np.argsort(-row, kind="stable")[:10]]
            at = np.flatnonzero(hits) + 1
            precisions.append(np.mean(np.arange(1, len(at) + 1) / at) if len(at) else 0.0)
        # copies tie among themselves, and are all right or all wrong: their order is of no matter
        assert found["test/category/t2i/mAP@10"] == pytest.approx(np.mean(precisions), abs=1e-6)

    def test_copies_that_differ_are_refused_by_row(self, square, files, data):
        images = np.load(square / "images.npy")
        row = int(np.flatnonzero(data["owners"] == data["owners"][0])[1])
        images[row, 0] += 1
        np.save(square / "images.npy", images)
        refuses(1, f"row {row} should be a copy of row 0", "evaluate", *self.given(square, files), "--layout", "square")


class TestRefusals:
    @pytest.mark.parametrize(
        ("code", "words", "arguments"),
        [
            (2, "give --images and --texts", []),
            (2, "give both --images and --texts", ["--images", "images.npy", "--pairs", "pairs.json"]),
            (2, "got --images, --texts, --i2t", ["--images", "images.npy", "--texts", "texts.npy", "--i2t", "i2t.npy"]),
            (2, "either --pairs or --captions-per-image", ["--images", "images.npy", "--texts", "texts.npy"]),
            (
                2,
                "absent.npy does not exist",
                ["--images", "absent.npy", "--texts", "texts.npy", "--pairs", "pairs.json"],
            ),
            (
                1,
                "90 captions do not make groups of 4",
                ["--images", "images.npy", "--texts", "texts.npy", "--captions-per-image", 4],
            ),
            (1, "dimensions", ["--images", "images.npy", "--texts", "text_codes.npy", "--pairs", "pairs.json"]),
            (1, "captions", ["--images", "images.npy", "--texts", "images.npy", "--pairs", "pairs.json"]),
            (1, "i2t", ["--i2t", "t2i.npy", "--pairs", "pairs.json"]),
            (2, "can't be --labels", ["--run-i2t", "x", "--labels", "labels.npz"]),
            (2, "need --qrels", ["--run-i2t", "x"]),
            (2, "--qrels belongs to TREC runs", ["--i2t", "i2t.npy", "--pairs", "pairs.json", "--qrels", "x"]),
            (2, "--bits belongs to codes", ["--i2t", "i2t.npy", "--pairs", "pairs.json", "--bits", 8]),
            (
                2,
                "square layout",
                [
                    "--images",
                    "images.npy",
                    "--texts",
                    "texts.npy",
                    "--pairs",
                    "pairs.json",
                    "--square-gallery",
                    "as-published",
                ],
            ),
            (
                2,
                "does not exist",
                ["--images", "images.npy", "--texts", "texts.npy", "--pairs", "pairs.json", "--labels", "none.npz"],
            ),
        ],
    )
    def test_a_wrong_input_ends_with_one_sentence_and_no_results(
        self, tmp_path, files, monkeypatch, code, words, arguments
    ):
        monkeypatch.chdir(files)
        words = "leave out --labels" if words == "can't be --labels" else words
        refuses(code, words, "evaluate", "--out", tmp_path / "out", *arguments)
        assert not (tmp_path / "out").exists()

    def test_rows_that_are_not_finite_are_named(self, tmp_path, files, data):
        images = data["images"].copy()
        images[5, 1] = np.nan
        np.save(tmp_path / "nan.npy", images)
        refuses(
            1,
            "5",
            "evaluate",
            "--images",
            tmp_path / "nan.npy",
            "--texts",
            files / "texts.npy",
            "--pairs",
            files / "pairs.json",
        )

    def test_scores_stored_the_other_way_are_turned_only_when_told(self, tmp_path, files):
        given = ("--t2i", files / "i2t.npy", "--pairs", files / "pairs.json")
        refuses(1, "t2i", "evaluate", *given)
        turned = evaluate(tmp_path / "a", *given, "--t2i-orientation", "images-captions")
        assert turned == evaluate(tmp_path / "b", "--t2i", files / "t2i.npy", "--pairs", files / "pairs.json")

    @pytest.mark.parametrize(
        "arguments", [["--ties", "random"], ["--nonsense"], ["--bootstrap", "-1"], ["--seed", "x"]]
    )
    def test_a_wrong_option_is_wrong_usage(self, arguments):
        done = fico("evaluate", *arguments)
        assert done.exit_code == 2
        assert arguments[0] in done.stderr

    def test_a_run_is_replaced_only_if_asked(self, tmp_path, files):
        (tmp_path / "results.json").write_text("of another run")
        done = fico("evaluate", *floats(files), "--bootstrap", 0, "--out", tmp_path)
        assert done.exit_code == 2
        assert f"{tmp_path} holds the results of a run already; give --overwrite or another --out" in done.stderr
        assert fico("evaluate", *floats(files), "--bootstrap", 0, "--out", tmp_path, "--overwrite").exit_code == 0
        assert read_results(tmp_path).metrics

    def test_without_resamples_there_are_no_intervals(self, tmp_path, files):
        done = fico("evaluate", *floats(files), "--bootstrap", 0, "--out", tmp_path)
        assert done.exit_code == 0, done.stderr
        metrics = json.loads((tmp_path / "results.json").read_text())["metrics"]
        assert not any({"low", "high"} & set(metric) for metric in metrics.values())
        assert fico("verify", tmp_path).exit_code == 0


class TestVerify:
    def test_an_untouched_run_is_the_same(self, reference):
        done = fico("verify", reference[1])
        assert done.exit_code == 0
        assert "all" in done.stdout

    def test_a_changed_number_is_named(self, tmp_path, files):
        evaluate(tmp_path, *floats(files))
        path = tmp_path / "results.json"
        plain = json.loads(path.read_text())
        plain["metrics"]["test/instance/i2t/R@5"]["value"] -= 0.01
        path.write_text(json.dumps(plain))
        done = fico("verify", tmp_path)
        assert done.exit_code == 1
        assert [line.split(":")[0] for line in done.stdout.splitlines()] == ["test/instance/i2t/R@5"]

    def test_changed_embeddings_and_an_unfinished_run_are_refused(self, tmp_path, files):
        refuses(2, "results.json", "verify", tmp_path)
        evaluate(tmp_path, *floats(files))
        path = tmp_path / "embeddings" / "texts.safetensors"
        path.write_bytes(path.read_bytes()[:-1])
        refuses(1, "texts.safetensors", "verify", tmp_path)


class TestStart:
    def test_help_needs_no_torch(self):
        code = (
            "import sys, fico.cli.app; sys.exit(any(name in sys.modules for name in ('torch', 'numpy', 'rich.table')))"
        )
        assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0

    def test_without_a_command_the_help_comes(self):
        assert "evaluate" in fico().output

    def test_an_interrupt_ends_with_130_and_no_traceback(self, monkeypatch, files, tmp_path):
        def interrupt(*_, **__):
            raise KeyboardInterrupt

        monkeypatch.setattr("fico.external.results.write_results", interrupt)
        done = fico("evaluate", *floats(files), "--bootstrap", 10, "--out", tmp_path)
        assert done.exit_code == 130
        assert not (tmp_path / "results.json").exists()
