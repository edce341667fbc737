"""BLIP-2 from a folder of weights and real photographs to metrics, against transformers put together plainly."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import open_dict
from PIL import Image
from safetensors.torch import load_file

import fico
from fico.errors import DataError
from fico.experiment.config.checks import check_config
from fico.experiment.config.resolvers import register_resolvers
from fico.experiment.resume.unfinished import Unfinished
from fico.experiment.runner import run
from fico.features.text.word_pieces import WordPieceModel
from fico.networks.blip2 import BLIP2

CONF = Path(__file__).parents[2] / "conf"
K = 12


def _config(folder, *overrides):
    """The command line's config, as run.py hands it over."""
    register_resolvers()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", [f"hydra.run.dir={folder}", *overrides], return_hydra_config=True)
    with open_dict(config):
        config.hydra.runtime.output_dir = str(folder)
        config.hydra.mode = "RUN"
    HydraConfig.instance().set_config(config)
    with open_dict(config):
        del config["hydra"]
    check_config(config)
    return config


@pytest.fixture(scope="module")
def photographs(data_dir):
    return data_dir / "coco_mini_images"


@pytest.fixture(scope="module")
def captions(photographs):
    """Image file and captions of each test image, in the order of the JSON."""
    images = json.loads((photographs / "dataset_coco_mini.json").read_text())["images"]
    test = [image for image in images if image["mini_split"] == "test"]
    return [(image["filename"], [sentence["raw"] for sentence in image["sentences"]]) for image in test]


@pytest.fixture(scope="module")
def folder(photographs, tmp_path_factory):
    """Weights as `save_pretrained` leaves them, tiny and random, with a processor and a vocabulary."""
    path = tmp_path_factory.mktemp("blip2")
    images = json.loads((photographs / "dataset_coco_mini.json").read_text())["images"]
    words = WordPieceModel.fit(sentence["raw"] for image in images for sentence in image["sentences"])
    (path / "vocab.txt").write_text("\n".join(words.ids) + "\n")
    torch.manual_seed(0)
    network = BLIP2(
        vocab_size=words.size + 1,
        image_size=24,
        patch_size=4,
        vision_dim=16,
        vision_layers=1,
        vision_heads=2,
        vision_inner_dim=24,
        dim=16,
        layers=2,
        heads=2,
        inner_dim=24,
        queries=3,
        embed_dim=8,
    )
    for parameter in network.retrieval.parameters():  # far enough from 0 that items differ
        torch.nn.init.normal_(parameter, std=0.2)
    network.retrieval.save_pretrained(path)
    processor = {"size": {"height": 24, "width": 24}, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.3, 0.25, 0.2]}
    (path / "preprocessor_config.json").write_text(json.dumps(processor))
    return path


@pytest.fixture(scope="module")
def library(folder, photographs, captions):
    """Embeddings, similarities and logits of all pairs by transformers: its processor, tokeniser and whole model."""
    from transformers import BertTokenizer, Blip2ForImageTextRetrieval, BlipImageProcessorPil

    model = Blip2ForImageTextRetrieval.from_pretrained(folder).eval()
    model.vision_model.post_layernorm.eps = 1e-5
    process = BlipImageProcessorPil.from_pretrained(folder)
    files = [Image.open(next(photographs.rglob(name))).convert("RGB") for name, _ in captions]
    pixels = process(files, return_tensors="pt")["pixel_values"]
    texts = [text.lower().translate(str.maketrans('.!"()*#:;~', " " * 10)) for _, group in captions for text in group]
    ids = BertTokenizer.from_pretrained(folder)(
        texts, max_length=35, truncation=True, padding=True, return_tensors="pt"
    )
    ids = {name: ids[name] for name in ("input_ids", "attention_mask")}
    with torch.no_grad():
        contrast = model(pixels, **ids)
        logits = [
            model(image.expand(len(texts), *image.shape), **ids, use_image_text_matching_head=True).logits_per_image[
                :, 1
            ]
            for image in pixels
        ]
    return contrast, torch.stack(logits)


def _run(folder, weights, photographs, *overrides):
    given = [
        "dataset=karpathy", f"dataset.root={photographs}", "dataset.split_key=mini_split", "metric.bootstrap=20",
        "logger=none", "index=flat", "trainer=cpu",
    ]  # fmt: skip
    run(_config(folder, f"model.weights={weights}", *given, *overrides), Unfinished(folder, "request"))
    return json.loads((folder / "results.json").read_text())


def _reranked(scores, logits):
    best = scores.topk(K, dim=1).indices
    return torch.full_like(scores, -100).scatter(1, best, (scores + logits).gather(1, best)).numpy()


@pytest.mark.data
def test_blip2_reranks_photographs_as_the_library_would(folder, photographs, captions, library, tmp_path):
    results = _run(tmp_path, folder, photographs, "model=blip2", f"model.rerank.k={K}")
    contrast, logits = library
    stored = load_file(tmp_path / "embeddings" / "images.safetensors")
    (images,) = [value for value in stored.values() if value.ndim == 3]
    np.testing.assert_allclose(images, contrast.image_embeds, atol=2e-5)
    owner = np.repeat(np.arange(len(captions)), [len(group) for _, group in captions])
    scores = contrast.logits_per_image
    wanted = fico.evaluate_scores(
        i2t=_reranked(scores, logits),
        t2i=_reranked(scores.T, logits.T),
        correspondence=fico.Correspondence(owner),
        bootstrap=1,
    )
    for way in ("i2t", "t2i"):
        for k in (1, 5, 10):
            name = f"instance/{way}/R@{k}"
            assert results["metrics"][f"test/{name}"]["value"] == pytest.approx(wanted.metrics[name]), name
    assert results["model"]["name"] == "blip2"
    assert "test/category/i2t/mAP@N" not in results["metrics"]
    assert results["efficiency"]["attention_seconds"] > 0


@pytest.mark.data
def test_blip2_without_reranking_ranks_by_the_best_query(folder, photographs, captions, library, tmp_path):
    results = _run(tmp_path, folder, photographs, "model=blip2_nf")
    owner = np.repeat(np.arange(len(captions)), [len(group) for _, group in captions])
    scores = library[0].logits_per_image.numpy()
    wanted = fico.evaluate_scores(i2t=scores, t2i=scores.T, correspondence=fico.Correspondence(owner), bootstrap=1)
    for name in ("instance/i2t/R@10", "instance/t2i/R@5", "instance/t2i/MedR"):
        assert results["metrics"][f"test/{name}"]["value"] == pytest.approx(wanted.metrics[name]), name
    assert "test/category/i2t/mAP@N" in results["metrics"]


@pytest.mark.data
def test_weights_that_are_not_here_are_told_before_anything_is_read(photographs, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("fico.features.image.pixels.open_rgb", lambda *_: pytest.fail("an image was read"))
    with pytest.raises(DataError, match=r"Salesforce/blip2-itm-vit-g-coco .*model\.weights=FOLDER"):
        _run(tmp_path / "run", "Salesforce/blip2-itm-vit-g-coco", photographs, "model=blip2")


def test_at_paper_size_the_released_weights_are_tested_as_they_are(tmp_path):
    config = _config(tmp_path, "model=blip2", "dataset=coco")
    assert list(config.stage) == ["test"]
    assert config.model.weights == config.model.module.network.source == "Salesforce/blip2-itm-vit-g-coco"
    assert config.model.rerank == {"k": 256, "rule": "itm_plus_similarity"}
    assert _config(tmp_path, "model=blip2", "dataset=flickr30k").model.rerank.k == 128
    tiny = _config(tmp_path, "model=blip2_nf", "dataset=shapes")
    assert list(tiny.stage) == ["fit", "test"]
    assert tiny.model.weights is None
    assert tiny.model.rerank is None
