"""BEiT-3 and CLIP from weights and real photographs to metrics, against the same put together plainly."""

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

import fico
from fico.errors import DataError
from fico.experiment.config.checks import check_config
from fico.experiment.config.resolvers import register_resolvers
from fico.experiment.resume.unfinished import Unfinished
from fico.experiment.runner import run
from fico.networks.beit3 import BEiT3

CONF = Path(__file__).parents[2] / "conf"
WIDTHS = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
BEIT3 = {"image_size": 24, "patch_size": 8, "dim": 16, "layers": 2, "heads": 2, "inner_dim": 32, "text_rows": 66}


@pytest.fixture(scope="module")
def photographs(data_dir):
    return data_dir / "coco_mini_images"


@pytest.fixture(scope="module")
def pairs(photographs):
    """Path and captions of each test image, in the order of the JSON."""
    images = json.loads((photographs / "dataset_coco_mini.json").read_text())["images"]
    test = [image for image in images if image["mini_split"] == "test"]
    return [
        (next(photographs.rglob(image["filename"])), [sentence["raw"].strip() for sentence in image["sentences"]])
        for image in test
    ]


def _run(folder, photographs, *overrides):
    given = [
        "dataset=karpathy", f"dataset.root={photographs}", "dataset.split_key=mini_split", "metric.bootstrap=20",
        "logger=none", "index=flat", "trainer=cpu", f"hydra.run.dir={folder}",
    ]  # fmt: skip
    register_resolvers()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", [*given, *overrides], return_hydra_config=True)
    with open_dict(config):
        config.hydra.runtime.output_dir = str(folder)
        config.hydra.mode = "RUN"
    HydraConfig.instance().set_config(config)
    with open_dict(config):
        del config["hydra"]
    check_config(config)
    run(config, Unfinished(folder, "request"))
    return json.loads((folder / "results.json").read_text())


def _check(results, images, texts, pairs):
    """Every instance metric is that of the given embeddings; mAP@N is there."""
    owner = np.repeat(np.arange(len(pairs)), [len(captions) for _, captions in pairs])
    wanted = fico.evaluate(images, texts, fico.Correspondence(owner), similarity="cosine", bootstrap=1).metrics
    for name in (f"instance/{way}/{metric}" for way in ("i2t", "t2i") for metric in ("R@1", "R@5", "R@10", "MeanR")):
        assert results["metrics"][f"test/{name}"]["value"] == pytest.approx(wanted[name]), name
    assert "test/category/t2i/mAP@N" in results["metrics"]
    assert results["model"]["query_time_attention"] is False


def _weights_with_spread(network):
    """Far enough from 0 that items differ."""
    torch.manual_seed(0)
    for parameter in network.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.2)
    return network.eval()


@pytest.mark.data
def test_beit3_from_a_weights_file_and_a_sentencepiece_file(photographs, pairs, tmp_path):
    import sentencepiece

    texts = [caption for _, captions in pairs for caption in captions]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_prefix=str(tmp_path / "made"), vocab_size=200, minloglevel=2
    )
    network = _weights_with_spread(BEiT3(vocab_size=210, **BEIT3))
    torch.save({"model": network.state_dict()}, tmp_path / "beit3.pth")
    results = _run(
        tmp_path / "run", photographs, "model=beit3", f"model.weights={tmp_path / 'beit3.pth'}",
        f"model.inputs.text.model={tmp_path / 'made.model'}", "model.inputs.text.vocab_size=210",
        "model.inputs.image.size=24", *(f"model.module.network.{k}={v}" for k, v in BEIT3.items() if k != "image_size"),
    )  # fmt: skip
    cutter = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "made.model"))
    ids = [[0, *(piece + 1 if piece else 3 for piece in row[:62]), 2] for row in cutter.encode(texts)]
    squashed = [Image.open(path).convert("RGB").resize((24, 24), Image.Resampling.BICUBIC) for path, _ in pairs]
    pixels = torch.from_numpy(np.stack([np.asarray(image) for image in squashed])).permute(0, 3, 1, 2)
    with torch.no_grad():
        images = network.encode_images(pixels / 127.5 - 1)
        embedded = torch.cat([network.encode_texts(torch.tensor([row])) for row in ids])
    _check(results, images, embedded, pairs)


@pytest.mark.data
def test_clip_from_a_folder(photographs, pairs, tmp_path):
    from transformers import AutoModel, CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

    folder = tmp_path / "clip"
    letters = sorted({letter for _, captions in pairs for letter in "".join(captions).lower() if letter != " "})
    pieces = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    tokenizer = CLIPTokenizer(vocab={piece: row for row, piece in enumerate(pieces)}, merges=[])
    tokenizer.save_pretrained(folder)
    processor = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    processor.save_pretrained(folder)
    text = {"vocab_size": len(pieces), "bos_token_id": len(pieces) - 2, "eos_token_id": len(pieces) - 1}
    text |= WIDTHS | {"max_position_embeddings": 77, "pad_token_id": len(pieces) - 1}
    vision = WIDTHS | {"image_size": 32, "patch_size": 8}
    _weights_with_spread(
        CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=8))
    ).save_pretrained(folder)
    results = _run(tmp_path / "run", photographs, "model=clip", f"model.weights={folder}")
    model = AutoModel.from_pretrained(folder).eval()
    files = [Image.open(path).convert("RGB") for path, _ in pairs]
    texts = [caption for _, captions in pairs for caption in captions]
    words = tokenizer(texts, padding=True, truncation=True, max_length=77, return_tensors="pt")
    with torch.no_grad():
        images = model.get_image_features(**processor(files, return_tensors="pt")).pooler_output
        embedded = model.get_text_features(**words).pooler_output
    _check(results, images, embedded, pairs)


@pytest.mark.data
@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model=beit3", "model.size=paper"], r"no tokeniser file beit3\.spm"),
        (
            ["model=clip", "model.weights=openai/clip-vit-base-patch32"],
            r"clip-vit-base-patch32 .*model\.weights=FOLDER",
        ),
        (["model=clip", "model.weights=nowhere"], "no weights file or folder nowhere"),
    ],
)
def test_what_is_not_here_is_told_before_an_image_is_read(photographs, tmp_path, monkeypatch, overrides, message):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("fico.features.image.pixels.open_rgb", lambda *_: pytest.fail("an image was read"))
    with pytest.raises(DataError, match=message) as caught:
        _run(tmp_path / "run", photographs, *overrides)
    assert "\n" not in str(caught.value)
