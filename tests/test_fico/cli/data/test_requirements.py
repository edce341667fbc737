"""``fico doctor``: what each model needs of a data set, what is there, and the command that gets the rest."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from fico.cli.app import app
from fico.cli.data.dataset_option import DatasetOption
from fico.cli.data.requirements import Found, read_model, requirements

CONF = Path(__file__).resolve().parents[4] / "conf" / "model"


def states(name, root, size="paper"):
    config = read_model(CONF / f"{name}.yaml", size)
    found = Found(DatasetOption("karpathy", root))
    return {requirement.what: requirement for requirement in requirements(config, found, Path.cwd())}


def put(root, kind):
    (root / "features").mkdir(exist_ok=True)
    np.save(root / "features" / f"{kind}.npy", np.zeros(1))
    (root / "features" / f"{kind}.json").write_text("{}")


def test_configs_are_read_at_a_size_with_their_base():
    assert read_model(CONF / "adv.yaml", "paper")["inputs"]["text"] == "bert"
    assert read_model(CONF / "adv.yaml", "tiny")["inputs"]["text"] == "words"
    nf = read_model(CONF / "blip2_nf.yaml", "paper")
    assert nf["rerank"] is None
    assert nf["name"] == "blip2_nf"
    assert nf["inputs"]["text"]["source"] == "Salesforce/blip2-itm-vit-g-coco"
    assert read_model(CONF / "blip2_nf.yaml", "tiny")["inputs"]["text"]["source"] is None


def test_features_are_missing_made_by_the_run_or_there(root):
    found = states("adv", root)
    assert found["features/regions.npy"].state == "made by the run"
    assert found["features/bert.npy"].state == "missing"
    assert found["features/bert.npy"].get == f"fico features bert --dataset karpathy --root {root}"
    put(root, "bert")
    put(root, "regions")
    found = states("adv", root)
    assert found["features/regions.npy"].state == found["features/bert.npy"].state == "there"


def test_labels_are_missing_only_where_a_model_learns_from_them(root, scenes):
    assert "labels" not in states("ucch", root)
    assert states("dadh", root)["labels"].state == "missing"
    assert "fico label q2l" in states("dadh", root)["labels"].get
    (root / "labels.npz").symlink_to(scenes / "labels.npz")
    assert states("dadh", root)["labels"].state == "there"


def test_images_are_counted_and_spared_where_features_lie_beside_them(root):
    assert states("ucch", root)["60 images"].state == "there"
    (root / "images").unlink()
    assert states("ucch", root)["60 of 60 images"].state == "missing"
    assert states("clip", root)["60 of 60 images"].state == "missing"
    put(root, "vgg19")
    assert states("ucch", root)["60 images"].state == "there"
    assert states("clip", root)["60 of 60 images"].state == "missing"


def test_files_and_hub_names_are_told_apart(root, monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    assert states("beit3", root)["text model beit3.spm"].state == "missing"
    assert "model.inputs.text.model" in states("beit3", root)["text model beit3.spm"].get
    name = "weights Salesforce/blip2-itm-vit-g-coco"
    assert states("blip2", root)[name].state == "made by the run"
    (tmp_path / "hub" / "models--Salesforce--blip2-itm-vit-g-coco" / "snapshots" / "1").mkdir(parents=True)
    assert states("blip2", root)[name].state == "there"


@pytest.mark.parametrize("name", sorted(path.stem for path in CONF.glob("*.yaml")))
def test_every_model_is_told_at_both_sizes(name, root):
    for size in ("tiny", "paper"):
        for requirement in states(name, root, size).values():
            assert requirement.state in ("there", "made by the run", "missing")
            assert requirement.get or requirement.state == "there"
    config = read_model(CONF / f"{name}.yaml", "paper")
    assert {requirement.state for requirement in requirements(config, None, Path.cwd())} <= {
        "required",
        "made by the run",
        "there",
    }


def test_tiny_models_want_for_nothing_but_labels(root):
    for path in CONF.glob("*.yaml"):
        missing = [
            what for what, requirement in states(path.stem, root, "tiny").items() if requirement.state == "missing"
        ]
        assert missing in ([], ["labels"]), path.stem


def doctor(*arguments):
    return CliRunner().invoke(app, ["doctor", *map(str, arguments)])


def test_the_command_says_what_is_missing_and_ends_with_1(root, monkeypatch):
    monkeypatch.chdir(CONF.parents[1])
    done = doctor("--dataset", "karpathy", "--root", root)
    assert done.exit_code == 1
    assert "labels: missing (fico label q2l --dataset karpathy" in done.stdout
    assert "at size tiny takes" in done.stdout
    assert "model vsrn" in done.stdout


def test_without_a_data_set_a_fresh_checkout_has_no_error(monkeypatch):
    monkeypatch.chdir(CONF.parents[1])
    done = doctor()
    assert not [line for line in done.stdout.splitlines() if line.startswith("error  model")]
    assert "at size paper requires" in done.stdout


def test_a_data_set_that_cannot_be_read_is_an_error_of_its_own(monkeypatch, tmp_path):
    monkeypatch.chdir(CONF.parents[1])
    done = doctor("--dataset", "coco", "--root", tmp_path)
    assert done.exit_code == 1
    assert any(line.startswith("error  data set") for line in done.stdout.splitlines())
    assert doctor("--root", tmp_path).exit_code == 2
