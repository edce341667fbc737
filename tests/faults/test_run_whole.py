"""run.py from the command line to the files it leaves, once per model family, and the same again."""

import csv
import gzip
import json
from pathlib import Path

import pytest

SMALL = ("dataset.images=80", "model.epochs=2", "metric.bootstrap=50")
INSTANCE = ("R@1", "R@5", "R@10", "R@50", "R@100", "R@200", "MedR", "MeanR")
CATEGORY = ("mAP@10", "mAP@100", "mAP@N", *(f"PR@{step / 10:.1f}" for step in range(11)))


@pytest.fixture(scope="session")
def run(warm_python):
    """Runs the config with the arguments into a folder."""

    def run(folder, *arguments):
        done = warm_python("run.py", f"hydra.run.dir={folder}", *arguments)
        assert done.returncode == 0, done.stderr[-3000:]
        return done

    return run


def results(folder):
    return json.loads((folder / "results.json").read_text())


@pytest.fixture(scope="session")
def runs(tmp_path_factory, run):
    """A small run of each family; made when first asked for."""
    made = {}

    def get(model):
        if model not in made:
            folder = tmp_path_factory.mktemp(model) / "run"
            made[model] = folder, run(folder, f"model={model}", *SMALL)
        return made[model]

    return get


@pytest.mark.parametrize("model", ["ucch", "vsrn"])
def test_a_run_leaves_every_promised_file_and_names_its_folder_last(runs, model):
    folder, done = runs(model)
    assert Path(done.stdout.strip().splitlines()[-1]) == folder.resolve()
    for name in ("results.json", "results.csv", "per_query.csv.gz", "report.html", "config.yaml", "run.log", "wandb"):
        assert (folder / name).exists(), name
    for name in ("images.safetensors", "texts.safetensors", "manifest.json"):
        assert (folder / "embeddings" / name).exists(), name


@pytest.mark.parametrize("model", ["ucch", "vsrn"])
def test_every_promised_metric_is_there_with_interval_definition_and_chance(runs, model):
    metrics = results(runs(model)[0])["metrics"]
    for task, names in (("instance", INSTANCE), ("category", CATEGORY)):
        for way in ("i2t", "t2i"):
            for name in names:
                metric = metrics[f"test/{task}/{way}/{name}"]
                assert metric["low"] <= metric["value"] <= metric["high"], name
                assert metric["queries"] == {"i2t": 20, "t2i": 100}[way]
                assert metric["definition"]
                assert f"test/{task}/{way}/chance/{name}" in metrics


@pytest.mark.parametrize("model", ["ucch", "vsrn"])
def test_the_results_say_what_was_run(runs, model):
    found = results(runs(model)[0])
    assert found["status"] == "finished"
    assert (found["model"]["name"], found["model"]["size"], found["data"]["images"]) == (model, "tiny", 20)
    assert found["model"]["bits"] == (64 if model == "ucch" else None)
    assert {"encode_seconds", "embedding_bytes", "feature_bytes", "peak_memory_bytes"} <= set(found["efficiency"])
    assert found["efficiency"]["embedding_bytes"] == 120 * (8 if model == "ucch" else 4 * found["model"]["dim"])
    assert {row["index"] for row in found["search"]}
    assert found["config"]["model"]["module"]["network"]["image_dim"] > 0


def test_per_query_ranks_average_to_the_metric(runs):
    folder, _ = runs("vsrn")
    with gzip.open(folder / "per_query.csv.gz", "rt") as file:
        ranks = [float(row["first_rank"]) for row in csv.DictReader(file) if row["direction"] == "t2i"]
    assert sum(ranks) / len(ranks) == pytest.approx(results(folder)["metrics"]["test/instance/t2i/MeanR"]["value"])


def test_the_offline_run_of_wandb_holds_the_metrics(runs):
    folder, _ = runs("ucch")
    logged = next((folder / "wandb").glob("offline-run-*/*.wandb")).read_bytes()
    assert b"test/category/i2t/mAP@N" in logged
    for name in ("efficiency/encode_seconds", "efficiency/peak_memory_bytes", "efficiency/embedding_bytes"):
        assert name.encode() in logged
        assert name in (folder / "metrics.csv").read_text().splitlines()[0]
    assert b"search/i2t/hnsw/build_seconds" in logged


def test_the_same_seed_gives_the_same_numbers(run, runs, tmp_path):
    run(tmp_path, "model=ucch", *SMALL, "logger=none")
    assert results(tmp_path)["metrics"] == results(runs("ucch")[0])["metrics"]
    assert not (tmp_path / "wandb").exists()


@pytest.mark.parametrize("model", ["ucch", "vsrn"])
def test_two_processes_score_a_checkpoint_as_one_does(run, runs, tmp_path, model):
    folder, _ = runs(model)
    checkpoint = folder / "checkpoints" / "best.ckpt"
    done = run(
        tmp_path, f"model={model}", *SMALL, "logger=none", "stage=[test]", "index=[]",
        f"model.checkpoint={checkpoint}", "trainer=ddp", "trainer.accelerator=cpu",
    )  # fmt: skip
    assert results(tmp_path)["metrics"] == results(folder)["metrics"]
    assert done.stdout.count(str(tmp_path.resolve())) == 1


@pytest.mark.parametrize("model", ["ucch", "scan"])
def test_a_finished_run_can_be_verified(runs, warm_python, model):
    folder, _ = runs(model)
    done = warm_python("fico/__main__.py", "verify", folder)
    assert done.returncode == 0, done.stderr
    assert "are the same when recomputed" in done.stdout


def test_an_index_that_cannot_work_is_left_out_with_a_note_and_without_resamples_there_is_no_interval(run, tmp_path):
    run(tmp_path, "model=cca", "dataset.images=80", "metric.bootstrap=0", "logger=none")
    found = results(tmp_path)
    assert {row["index"] for row in found["search"]} == {"flat", "hnsw"}
    notes = [note for note in found["notes"] if note.startswith("index binary_flat is left out of ")]
    assert [note.partition(": ")[2].endswith("too few for a code of 8 bits") for note in notes] == [True, True]
    assert found["metrics"]["test/instance/i2t/R@1"]["value"] >= 0
    assert not any({"low", "high"} & set(metric) for metric in found["metrics"].values())
    assert "weights tested: best.ckpt of epoch 1" in found["notes"]
    assert (tmp_path / "report.html").exists()


def test_a_pair_scorer_is_timed_and_its_scores_are_kept(runs):
    folder, _ = runs("scan")
    assert results(folder)["model"]["query_time_attention"]
    assert results(folder)["efficiency"]["attention_seconds"] > 0
    assert (folder / "scores.npy").exists()
