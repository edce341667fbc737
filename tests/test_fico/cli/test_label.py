"""``fico label``: pseudo-labels of a small data set by tiny random models, from the command line."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from fico.cli.app import app
from fico.datasets import load_dataset
from fico.datasets.labels import LabelFile
from fico.errors import UsageError
from fico.features import writer as rows
from fico.labels.agreement import agreement
from fico.labels.classes import COCO80
from fico.labels.q2l import (
    IMAGENET,
    PLAIN,
    Labeller,
    Query2LabelConfig,
    is_plain,
    to_labels,
)
from fico.labels.zeroshot import calibrated, chosen
from fico.networks.query2label.network import Query2Label
from fico.networks.query2label.resnet import ResNetTrunk
from fico.networks.query2label.swin_cvt import CvtTrunk
from fico.networks.query2label.tresnet import TResNetTrunk

SIZES = {"blocks": (1, 1, 1, 1), "planes": (4, 4, 8, 8), "stem": 8}


def weights_of(trunk, path, size=64, classes=80):
    torch.manual_seed(0)
    network = Query2Label(trunk, size, classes=classes, dim=trunk.channels, inner_dim=16, heads=4)
    with torch.no_grad():
        network.fc.W.normal_(std=0.6)
    torch.save({"state_dict": network.state_dict()}, path)
    return path


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return weights_of(ResNetTrunk(**SIZES), tmp_path_factory.mktemp("q2l") / "checkpoint.pkl")


def label(kind, root, *more):
    return CliRunner().invoke(app, ["label", kind, "--dataset", "karpathy", "--root", str(root), *map(str, more)])


def test_q2l_labels_are_read_with_the_data_set_and_say_what_they_are(root, weights):
    done = label("q2l", root, "--weights", weights, "--preview", 6)
    assert done.exit_code == 0, done.stderr
    split = load_dataset(root).split("test")
    assert split.labels.shape == (20, 80)
    assert split.classes[:2] == ("person", "bicycle")
    assert split.classes[-1] == "toothbrush"
    labeller = Labeller(weights)
    images = [Image.open(path).convert("RGB") for path in split.image_paths]
    pixels = np.stack([labeller.pixels.normalise(labeller.pixels.square(image)) for image in images])
    probabilities = labeller.probabilities(pixels)
    assert 0.1 < (probabilities >= 0.5).mean() < 0.9
    np.testing.assert_array_equal(split.labels, probabilities >= 0.5)
    with np.load(root / "labels.npz") as stored:
        origin = json.loads(str(stored["origin"]))
        assert bool(stored["is_pseudo"])
        assert stored["category_ids"].tolist() == list(COCO80)
    assert origin["weights_sha256"] == labeller.weights
    assert (origin["threshold"], origin["normalisation"], origin["mean_and_deviation"]) == (0.5, "model", "ImageNet")
    assert LabelFile(root / "labels.npz").is_pseudo
    page = (root / "labels_preview.html").read_text()
    assert page.count("<figure>") >= 6
    assert "Pseudo-labels" in page


def test_another_threshold_needs_no_second_look_at_the_images(root, weights, monkeypatch):
    assert label("q2l", root, "--weights", weights, "--preview", 0).exit_code == 0
    at_half = LabelFile(root / "labels.npz").labels
    monkeypatch.setattr(Labeller, "probabilities", lambda *_: pytest.fail("the images were looked at again"))
    done = label("q2l", root, "--weights", weights, "--threshold", 0.7, "--overwrite", "--preview", 0)
    assert done.exit_code == 0, done.stderr
    at_more = LabelFile(root / "labels.npz").labels
    assert at_more.sum() < at_half.sum()
    assert not (at_more & ~at_half).any()


def test_images_without_a_label_are_counted(root, weights):
    done = label("q2l", root, "--weights", weights, "--threshold", 1.0, "--preview", 3)
    assert done.exit_code == 0, done.stderr
    assert "60 images (100.0%) have no label, 80 classes no image" in done.stderr
    assert "Images without a label" in (root / "labels_preview.html").read_text()


def test_a_stopped_run_goes_on_and_gives_the_same(root, weights, monkeypatch, tmp_path):
    monkeypatch.setattr(rows, "SAVED_SECONDS", 0.0)
    look, looked = Labeller.probabilities, []

    def stops(self, images):
        looked.append(len(images))
        if len(looked) == 2:
            raise KeyboardInterrupt
        return look(self, images)

    monkeypatch.setattr(Labeller, "probabilities", stops)
    assert label("q2l", root, "--weights", weights, "--preview", 0).exit_code == 130
    assert not (root / "labels.npz").exists()
    assert label("q2l", root, "--weights", weights, "--preview", 0).exit_code == 0
    assert looked == [16, 16, 16, 16, 12]
    stopped = np.load(root / "features" / "q2l.npy")
    (root / "features" / "q2l.npy").unlink()
    assert label("q2l", root, "--weights", weights, "--preview", 0, "--out", tmp_path / "again.npz").exit_code == 0
    np.testing.assert_array_equal(np.load(root / "features" / "q2l.npy"), stopped)


def test_labels_that_no_model_made_are_never_replaced(scenes, root, weights, tmp_path):
    (root / "labels.npz").symlink_to(scenes / "labels.npz")
    done = label("q2l", root, "--weights", weights, "--overwrite")
    assert done.exit_code == 2
    assert "no model made" in done.stderr
    out = tmp_path / "q2l.npz"
    assert label("q2l", root, "--weights", weights, "--out", out, "--preview", 0).exit_code == 0
    assert LabelFile(out).is_pseudo
    assert not LabelFile(root / "labels.npz").is_pseudo
    again = label("q2l", root, "--weights", weights, "--out", out, "--preview", 0)
    assert again.exit_code == 2
    assert "--overwrite" in again.stderr


def test_a_model_agrees_with_itself(root, weights, tmp_path):
    assert label("q2l", root, "--weights", weights, "--out", tmp_path / "a.npz", "--preview", 0).exit_code == 0
    more = ["--out", tmp_path / "b.npz", "--truth", tmp_path / "a.npz", "--preview", 0]
    done = label("q2l", root, "--weights", weights, *more)
    assert "mAP 100.0%, CF1 100.0%, OF1 100.0%" in done.stderr


def test_normalisation_is_the_models_unless_none_is_asked_for(tmp_path, weights):
    tresnet = weights_of(TResNetTrunk((1, 1, 1, 1), 8), tmp_path / "t.pkl")
    wanted = {weights: IMAGENET, tresnet: PLAIN}
    for path, (mean, std) in wanted.items():
        assert (Labeller(path).pixels.mean, Labeller(path).pixels.std) == (mean, std)
        assert Labeller(path, normalisation="none").pixels.mean == PLAIN[0]
    assert Labeller(weights, Query2LabelConfig(is_plain=True)).pixels.mean == PLAIN[0]
    assert Labeller(tresnet, Query2LabelConfig(is_plain=False)).pixels.mean == IMAGENET[0]
    cvt = Query2Label(CvtTrunk((64, 64, 64), (1, 2, 3), (1, 1, 1)), 64, classes=3, dim=64, inner_dim=8)
    with pytest.raises(UsageError, match=r"nothing says how these weights of a Cvt .*--config"):
        is_plain(cvt, Query2LabelConfig())
    assert is_plain(cvt, Query2LabelConfig(is_plain=True))


def test_the_released_json_and_size_are_heeded(tmp_path, root, weights):
    config = tmp_path / "config_new.json"
    config.write_text(json.dumps({"orid_norm": True, "img_size": 96, "nheads": 8, "backbone": "resnet101"}))
    assert Query2LabelConfig.read(config) == Query2LabelConfig(heads=8, is_plain=True, image_size=96)
    labeller = Labeller(weights, Query2LabelConfig.read(config))
    assert labeller.pixels.size == 96
    assert labeller.network.transformer["encoder"].layers[0].self_attn.num_heads == 8
    refused = label("q2l", root, "--weights", weights, "--size", 100)
    assert refused.exit_code == 2
    assert "another multiple of 32" in refused.stderr
    config.write_text("[")
    assert label("q2l", root, "--weights", weights, "--config", config).exit_code == 1


def test_the_threshold_itself_counts():
    probabilities = np.array([[0.5, np.nextafter(np.float32(0.5), 0, dtype=np.float32)]], dtype=np.float32)
    assert to_labels(probabilities).tolist() == [[True, False]]


def test_agreement_by_hand():
    labels = np.array([[1, 0], [1, 1], [0, 0], [0, 1]], bool)
    truth = np.array([[1, 0], [0, 1], [1, 0], [0, 1]], bool)
    scores = np.array([[0.9, 0.1], [0.8, 0.7], [0.2, 0.0], [0.1, 0.9]], np.float32)
    told = agreement(scores, labels, truth)
    assert told.mean_ap == pytest.approx((0.5 * (1 + 2 / 3) + 1) / 2)
    assert told.of1 == pytest.approx(2 * 3 / (4 + 4))
    assert told.cf1 == pytest.approx(0.75)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A folder with a tiny CLIP that knows letters."""
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

    folder = tmp_path_factory.mktemp("clip")
    letters = "abcdefghijklmnopqrstuvwxyz.-"
    pieces = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    CLIPTokenizer(vocab={piece: row for row, piece in enumerate(pieces)}, merges=[]).save_pretrained(folder)
    CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    marks = {"bos_token_id": len(pieces) - 2, "eos_token_id": len(pieces) - 1, "pad_token_id": len(pieces) - 1}
    text = sizes | marks | {"vocab_size": len(pieces), "max_position_embeddings": 40}
    torch.manual_seed(0)
    config = CLIPConfig(text_config=text, vision_config=sizes | {"image_size": 32, "patch_size": 8}, projection_dim=8)
    CLIPModel(config).save_pretrained(folder)
    return folder


def test_zeroshot_labels_any_classes(root, clip, tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("red circle\nblue square\n\ngreen thing\n")
    done = label("zeroshot", root, "--model", clip, "--classes", names, "--top-k", 2, "--preview", 4)
    assert done.exit_code == 0, done.stderr
    split = load_dataset(root).split("test")
    assert split.classes == ("red circle", "blue square", "green thing")
    assert (split.labels.sum(axis=1) == 2).all()
    cosines = np.load(root / "features" / "zeroshot.npy")
    assert (np.abs(cosines) <= 1 + 1e-5).all()
    again = label("zeroshot", root, "--model", clip, "--classes", names, "--threshold", 0.0, "--overwrite")
    assert again.exit_code == 0, again.stderr
    made = LabelFile(root / "labels.npz")
    np.testing.assert_array_equal(made.labels, calibrated(cosines) >= 0)


def test_other_weights_in_the_same_folder_are_not_taken_for_the_same(root, clip, tmp_path):
    from transformers import CLIPConfig, CLIPModel

    folder = tmp_path / "clip"
    shutil.copytree(clip, folder)
    assert label("zeroshot", root, "--model", folder, "--preview", 0).exit_code == 0
    before = np.load(root / "features" / "zeroshot.npy")
    CLIPModel(CLIPConfig.from_pretrained(folder)).save_pretrained(folder)  # another draw
    assert label("zeroshot", root, "--model", folder, "--preview", 0, "--overwrite").exit_code == 0
    assert not np.allclose(np.load(root / "features" / "zeroshot.npy"), before)


def test_zeroshot_knows_the_classes_of_coco(root, clip):
    done = label("zeroshot", root, "--model", clip, "--template", "a drawing of a {}", "--preview", 0)
    assert done.exit_code == 0, done.stderr
    assert load_dataset(root).split("val").classes == tuple(COCO80.values())
    with np.load(root / "labels.npz") as stored:
        assert json.loads(str(stored["origin"]))["template"] == "a drawing of a {}"


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--top-k", "2", "--threshold", "1"], "either --threshold or --top-k"),
        (["--top-k", "81"], "give 1 to 80"),
        (["--template", "a photo"], "has no {}"),
        (["--classes", "coco91"], "give coco80, or a text file"),
    ],
)
def test_zeroshot_options_that_make_no_sense_are_told(root, clip, more, told):
    done = label("zeroshot", root, "--model", clip, *more)
    assert done.exit_code == 2
    assert told in done.stderr


def test_calibration_removes_what_a_sentence_gives_every_image():
    cosines = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32) * 0.02
    moved = cosines * np.float32([1, 2, 1, 1, 3, 1]) + np.float32([0, 0.1, 0.2, 0.3, 0, 0.1])
    np.testing.assert_allclose(calibrated(moved), calibrated(cosines), atol=1e-3)
    np.testing.assert_allclose(calibrated(moved).std(axis=0), 1, atol=1e-4)
    assert not calibrated(np.full((4, 2), 0.3, np.float32)).any()
    assert chosen(np.array([[1.0, 3.0, 3.0]], np.float32), threshold=None, top_k=2).tolist() == [[False, True, True]]


def test_the_names_of_coco_are_those_of_its_own_file(data_dir):
    told = json.loads((data_dir / "coco_karpathy_test5k" / "categories.json").read_text())
    assert {entry["id"]: entry["name"] for entry in told} == COCO80
    assert [entry["index"] for entry in told] == sorted(range(80))
