"""run.py from the command line to the files it leaves, once per model family, and the same again."""

import csv
import gzip
import json
from pathlib import Path

import pytest

from tests.wandb_file import read_offline_run

SMALL = ("dataset.images=30", "model.epochs=2", "metric.bootstrap=20")
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
    assert done.stdout.splitlines()[-2:] == [f"the report: {folder.resolve() / 'report.html'}", str(folder.resolve())]
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


def test_metrics_csv_holds_times_and_sizes(runs):
    header = (runs("ucch")[0] / "metrics.csv").read_text().splitlines()[0]
    for name in ("efficiency/encode_seconds", "efficiency/peak_memory_bytes", "efficiency/embedding_bytes"):
        assert name in header


@pytest.mark.parametrize("model", ["ucch", "vsrn"])  # the second is the default command's
def test_the_offline_run_of_wandb_holds_what_compares_runs_in_at_most_80_keys(runs, model):
    folder, _ = runs(model)
    run, found = read_offline_run(folder), results(folder)
    assert len(run.keys) <= 80
    for task, name in (("instance", "R@10"), ("category", "mAP@N")):
        for way in ("i2t", "t2i"):
            metric = found["metrics"][f"test/{task}/{way}/{name}"]
            assert run.summary[f"test/{task}/{way}/{name}"] == pytest.approx(
                metric["value"], abs=1e-6
            )  # logged in float32
            assert run.summary[f"test/{task}/{way}/low/{name}"] == pytest.approx(metric["low"])
            assert run.summary[f"test/{task}/{way}/high/{name}"] == pytest.approx(metric["high"])
            assert 0 < run.summary[f"test/{task}/{way}/chance/{name}"] < 1
    measured = {"encode_seconds", "attention_seconds", "items_per_second", "peak_memory_bytes", "embedding_bytes"}
    for name in measured | {"flops_per_item"}:
        assert run.summary[f"efficiency/{name}"] == pytest.approx(found["efficiency"][name])
    for row in found["search"]:
        if row["direction"] == "t2i" and "/" not in row["index"]:
            for name in ("build_seconds", "search_seconds", "index_bytes"):
                assert run.summary[f"search/t2i/{row['index']}/{name}"] == pytest.approx(row[name])
    lines = {"curves/recall_table", "curves/precision_recall_table", "search/overlap_table"}
    assert lines | ({"curves/radius_table"} if model == "ucch" else set()) <= run.keys
    assert not any("PR@" in key for key in run.keys)
    assert len(run.table("search/rows")) == len(found["search"])
    shown = [key for key in found["metrics"] if "/chance/" not in key and "/PR@" not in key]
    assert len(run.table("metrics")) == len(shown)
    (row, *_) = run.table("samples/t2i")
    assert [row[f"found {n}"]["_type"] for n in range(1, 6)] == ["image-file"] * 5
    ranked = [row["rank of the first relevant item"] for row in run.table("samples/t2i")]
    assert ranked == sorted(ranked)


@pytest.mark.parametrize(
    ("model", "tags"),
    [("ucch", ["ucch", "coarse", "tiny", "shapes", "64 bits"]), ("vsrn", ["vsrn", "fine", "tiny", "shapes"])],
)
def test_wandb_sorts_and_folds_runs_by_tags_and_config(runs, model, tags):
    run = read_offline_run(runs(model)[0])
    assert list(run.run.tags) == tags
    facts = {key: run.config[key] for key in ("model_name", "family", "size", "bits", "data", "seed")}
    assert facts == {
        "model_name": model, "family": tags[1], "size": "tiny", "bits": 64 if model == "ucch" else None,
        "data": "shapes", "seed": 0,
    }  # fmt: skip
    assert run.config["setting"].startswith("ucch-64-shapes " if model == "ucch" else "vsrn-shapes ")


def test_results_and_page_of_a_run_are_an_artifact_of_wandb(runs):
    folder, _ = runs("vsrn")
    (artifact,) = [each for each in read_offline_run(folder).artifacts if each.type == "results"]
    for item in artifact.manifest.contents:
        assert Path(item.local_path).read_bytes() == (folder / item.path).read_bytes()
    assert {item.path for item in artifact.manifest.contents} == {"results.json", "report.html"}


def test_the_same_seed_gives_the_same_numbers_and_quiet_prints_the_folder_alone(run, runs, tmp_path):
    done = run(tmp_path, "--quiet", "model=ucch", *SMALL, "logger=none")
    assert (done.stdout, done.stderr) == (f"{tmp_path.resolve()}\n", "")
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
    assert done.stdout.splitlines().count(str(tmp_path.resolve())) == 1
    assert done.stderr.count("testing on shapes") == 1


@pytest.mark.parametrize("model", ["ucch", "scan"])
def test_a_finished_run_can_be_verified(runs, warm_python, model):
    folder, _ = runs(model)
    done = warm_python("-m", "fico", "verify", folder)
    assert done.returncode == 0, done.stderr
    assert "are the same when recomputed" in done.stdout


def test_an_index_that_cannot_work_is_left_out_with_a_note_and_without_resamples_there_is_no_interval(run, tmp_path):
    run(tmp_path, "model=cca", "dataset.images=30", "metric.bootstrap=0", "logger=none")
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
