"""Dual encoders of transformers: tiny random CLIP, SigLIP and SigLIP 2 folders through their own processors."""

import io
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import sentencepiece
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from fico import Correspondence
from fico.datasets.base import RetrievalSplit
from fico.errors import DataError
from fico.features.image.processor import ProcessorPixels, image_reader
from fico.features.text.tokenizer import FolderTokens, text_reader
from fico.losses.image_text_contrast import ImageTextContrast
from fico.networks.blocks.patches import pack_patches, unpack_patches
from fico.networks.dual_encoder import DualEncoder

CAPTIONS = ("a red dog runs", "the cat in a park", "a dog", "dog dog dog dog dog dog dog dog dog dog dog dog")
KINDS = ("clip", "siglip", "siglip2")
WIDTHS = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}


def _clip(folder):
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

    pieces = [*_letters(), *(f"{letter}</w>" for letter in _letters()), "<|startoftext|>", "<|endoftext|>"]
    CLIPTokenizer(vocab={piece: row for row, piece in enumerate(pieces)}, merges=[]).save_pretrained(folder)
    CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)
    text = {"vocab_size": len(pieces), "bos_token_id": len(pieces) - 2, "eos_token_id": len(pieces) - 1}
    vision = WIDTHS | {"image_size": 32, "patch_size": 8}
    text = WIDTHS | text | {"max_position_embeddings": 20, "pad_token_id": len(pieces) - 1}
    return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=8))


def _siglip(folder):
    from transformers import SiglipConfig, SiglipImageProcessorPil, SiglipModel

    written = io.BytesIO()
    markers = {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CAPTIONS * 3), model_writer=written, vocab_size=40, hard_vocab_limit=False,
        minloglevel=2, **markers,
    )  # fmt: skip
    folder.mkdir()
    (folder / "spiece.model").write_bytes(written.getvalue())
    SiglipImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    text = WIDTHS | {"vocab_size": 60, "max_position_embeddings": 20}
    return SiglipModel(SiglipConfig(text_config=text, vision_config=WIDTHS | {"image_size": 32, "patch_size": 8}))


def _siglip2(folder):
    from transformers import Siglip2Config, Siglip2ImageProcessorPil, Siglip2Model, Siglip2Tokenizer

    pieces = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁", *_letters()]
    Siglip2Tokenizer(vocab={piece: row for row, piece in enumerate(pieces)}, merges=[]).save_pretrained(folder)
    Siglip2ImageProcessorPil(patch_size=8, max_num_patches=16).save_pretrained(folder)
    text = WIDTHS | {"vocab_size": 60, "max_position_embeddings": 20}
    return Siglip2Model(Siglip2Config(text_config=text, vision_config=WIDTHS | {"num_patches": 16, "patch_size": 8}))


def _letters():
    return sorted({letter for caption in CAPTIONS for letter in caption if letter != " "})


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """Folders of tiny models by kind; nobody changes them."""
    root = tmp_path_factory.mktemp("hub")
    torch.manual_seed(0)
    for kind, make in zip(KINDS, (_clip, _siglip, _siglip2), strict=True):
        make(root / kind).save_pretrained(root / kind)
    return root


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    """Three pictures of other sizes and modes, and four captions."""
    root = tmp_path_factory.mktemp("pictures")
    noise = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    pictures = {"a": Image.fromarray(noise), "b": Image.fromarray(noise[:40, :30]).convert("L")}
    pictures["c"] = Image.new("CMYK", (33, 50), (10, 200, 0, 0))
    for name, picture in pictures.items():
        picture.save(root / f"{name}.jpg")
    paths = tuple(root / f"{name}.jpg" for name in pictures)
    rows = Correspondence([0, 1, 2, 2])
    return RetrievalSplit(
        "made", "train", tuple(pictures), paths, tuple("0123"), CAPTIONS, (), rows, None, (), "fingerprint"
    )


def _padded(ids):
    lengths = torch.tensor([len(row) for row in ids])
    texts = torch.zeros(len(ids), int(lengths.max()), dtype=torch.long)
    for row, got in zip(texts, ids, strict=True):
        row[: len(got)] = torch.from_numpy(got)
    return texts, lengths


def _loaded(folder):
    return DualEncoder(folder, FolderTokens(folder).sizes["vocab_size"]).load_released(folder).eval()


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_gives_what_transformers_gives(released, split, kind):
    """Its own processor and tokeniser, the pooled embeddings, unit length."""
    from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

    folder = released / kind
    images = np.stack(list(ProcessorPixels(folder).rows(split, progress=False)))
    texts, lengths = _padded(FolderTokens(folder).ids(split))
    network = _loaded(folder)
    with torch.no_grad():
        got = network.encode_images(torch.from_numpy(images)), network.encode_texts(texts, lengths)
        model = AutoModel.from_pretrained(folder).eval()
        processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
        pixels = processor([Image.open(path).convert("RGB") for path in split.image_paths], return_tensors="pt")
        how = {"padding": True} if kind == "clip" else {"padding": "max_length"}
        words = AutoTokenizer.from_pretrained(folder)(
            list(CAPTIONS), truncation=True, max_length=20, return_tensors="pt", **how
        )
        mask = words["attention_mask"] if kind == "clip" else None  # SigLIP never masks its padding
        wanted = (
            model.get_image_features(**pixels).pooler_output,
            model.get_text_features(input_ids=words["input_ids"], attention_mask=mask).pooler_output,
        )
    for mine, theirs in zip(got, wanted, strict=True):
        torch.testing.assert_close(mine, theirs / theirs.norm(dim=1, keepdim=True))
    scores = got[1] @ got[0].T
    assert scores.shape == (4, 3)
    assert scores.std() > 0


@pytest.mark.parametrize("kind", KINDS)
def test_an_item_is_encoded_the_same_in_any_batch(released, split, kind):
    folder, network = released / kind, _loaded(released / kind)
    texts, lengths = _padded(FolderTokens(folder).ids(split))
    texts[torch.arange(texts.shape[1]) >= lengths[:, None]] = 5  # what stands behind a caption does not matter
    rows = ProcessorPixels(folder).rows(split, progress=False)
    images = torch.from_numpy(np.stack(list(rows)))
    alone = slice(2, 3)
    short = texts[alone, : int(lengths[2])]
    with torch.no_grad():
        torch.testing.assert_close(network.encode_texts(short), network.encode_texts(texts, lengths)[alone])
        torch.testing.assert_close(network.encode_images(images[alone]), network.encode_images(images)[alone])


def test_a_model_whose_words_see_all_others_does_not_see_the_padding(tmp_path):
    from transformers import ChineseCLIPConfig, ChineseCLIPModel

    text = WIDTHS | {"vocab_size": 40, "max_position_embeddings": 20}
    vision = WIDTHS | {"image_size": 32, "patch_size": 8}
    config = ChineseCLIPConfig(text_config=text, vision_config=vision, projection_dim=8)
    torch.manual_seed(0)
    ChineseCLIPModel(config).save_pretrained(tmp_path)
    network = DualEncoder(tmp_path, 40).load_released(tmp_path).eval()
    texts = torch.tensor([[3, 7, 8, 9, 4]])
    padded = torch.cat([texts, torch.tensor([[11, 12]])], dim=1)
    with torch.no_grad():
        wanted = network.encode_texts(texts)
        torch.testing.assert_close(network.encode_texts(padded, torch.tensor([5])), wanted)
        assert not torch.allclose(network.encode_texts(padded, torch.tensor([7])), wanted, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_is_trained_by_the_contrast(released, split, kind):
    folder = released / kind
    network = _loaded(folder).train()
    images = torch.from_numpy(np.stack(list(ProcessorPixels(folder).rows(split, progress=False))))
    texts, lengths = _padded(FolderTokens(folder).ids(split)[:3])
    loss = ImageTextContrast()(network.encode_images(images), network.encode_texts(texts, lengths), network.logit_scale)
    loss.backward()
    wanted = [name for name, parameter in network.named_parameters() if parameter.requires_grad]
    assert [name for name in wanted if network.get_parameter(name).grad is None] == []


def test_a_large_split_is_read_image_by_image(released, split, monkeypatch):
    whole = ProcessorPixels(released / "clip").rows(split, progress=False)
    monkeypatch.setattr("fico.features.image.processor.IN_MEMORY_BYTES", 0)
    lazy = ProcessorPixels(released / "clip").rows(split, progress=False)
    assert (lazy.is_lazy, whole.is_lazy) == (True, False)
    assert all(np.array_equal(left, right) for left, right in zip(lazy, whole, strict=True))


def test_a_long_caption_is_cut_with_its_end_marker_and_counted(released, split):
    tokens = FolderTokens(released / "clip")
    ids = tokens.ids(split)
    assert [len(row) for row in ids[2:]] == [6, 20]
    assert ids[3][-1] == ids[2][-1] == tokens.sizes["vocab_size"] - 1
    assert tokens.origin.endswith("1 of 4 captions were cut")


def test_siglip_reads_lower_case_whatever_its_tokeniser_does(released, split, tmp_path):
    """The folders of SigLIP 2 for one image size call themselves SigLIP with Gemma's tokeniser."""
    folder = shutil.copytree(released / "siglip", tmp_path / "fixed")
    (folder / "spiece.model").unlink()
    tokeniser = json.loads((released / "siglip2" / "tokenizer.json").read_text())
    tokeniser["normalizer"] = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}  # no lower case
    (folder / "tokenizer.json").write_text(json.dumps(tokeniser))
    settings = json.loads((released / "siglip2" / "tokenizer_config.json").read_text())
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    shouted = replace(split, captions=tuple(caption.upper() for caption in CAPTIONS))
    quiet, loud = (FolderTokens(folder).ids(captions) for captions in (split, shouted))
    assert all(np.array_equal(left, right) for left, right in zip(quiet, loud, strict=True))


def test_patches_unpack_as_they_were_packed():
    values = np.arange(24, dtype=np.float32).reshape(6, 4)
    packed = np.stack([pack_patches(values, np.array([2, 3])), pack_patches(values, np.array([1, 4]))])
    patches, mask, shapes = unpack_patches(torch.from_numpy(packed))
    assert torch.equal(patches, torch.from_numpy(values).expand(2, -1, -1))
    assert mask.tolist() == [[1] * 6, [1] * 4 + [0] * 2]
    assert shapes.tolist() == [[2, 3], [1, 4]]


def test_without_a_source_there_is_a_clip_from_scratch(split):
    reader, tokens = image_reader(None, 16), text_reader(None, 20).fitted(split)
    network = DualEncoder(None, tokens.sizes["vocab_size"], 16, patch_size=8, dim=8, layers=1, heads=2, text_rows=20)
    texts, lengths = _padded(tokens.ids(split))
    images = torch.from_numpy(np.stack(list(reader.rows(split, progress=False))))
    vectors = network.eval().encode_texts(texts, lengths)
    assert network.encode_images(images).shape == (3, 8)
    # the state of the end marker, not of the largest id
    other = texts.clone()
    other[0, 1] = texts.max()
    assert not torch.allclose(network.encode_texts(other, lengths)[0], vectors[0], atol=1e-4)
    changed = texts[:1].clone()
    changed[0, lengths[0] - 1] = 4
    assert not torch.allclose(network.encode_texts(changed, lengths[:1])[0], vectors[0], atol=1e-4)


def test_weights_that_do_not_fit_name_the_first_keys(released, tmp_path):
    folder = shutil.copytree(released / "clip", tmp_path / "clip")
    state = load_file(folder / "model.safetensors")
    state["visual.conv1.weight"] = torch.zeros(2)
    state["text_projection.weight"] = torch.zeros(3, 16)
    del state["logit_scale"]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(DataError, match=r"logit_scale is missing.*visual\.conv1\.weight is unknown.*\(3, 16\) instead"):
        DualEncoder(folder, 20).load_released(folder)


def test_another_kind_of_model_is_refused(released, tmp_path):
    folder = shutil.copytree(released / "clip", tmp_path / "bert")
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"} | WIDTHS | {"vocab_size": 30}))
    with pytest.raises(DataError, match="holds a bert, not a dual encoder"):
        DualEncoder(folder, 20)
    (folder / "config.json").write_text(json.dumps({"model_type": "nobody_knows"}))
    with pytest.raises(DataError, match="no model that can be built"):
        DualEncoder(folder, 20)


@pytest.mark.parametrize(
    ("kind", "lost", "read", "message"),
    [
        ("clip", "tokenizer.json", FolderTokens, "no tokeniser file"),
        ("siglip", "spiece.model", FolderTokens, "no tokeniser file"),
        ("siglip2", "preprocessor_config.json", ProcessorPixels, r"no preprocessor_config\.json"),
        ("clip", "model.safetensors", DualEncoder, r"lacks model\.safetensors"),
        ("clip", "config.json", DualEncoder, r"lacks config\.json"),
    ],
)
def test_a_missing_file_is_named(released, tmp_path, kind, lost, read, message):
    folder = shutil.copytree(released / kind, tmp_path / kind)
    (folder / lost).unlink()
    with pytest.raises(DataError, match=message) as caught:
        read(folder)
    assert "\n" not in str(caught.value)


def test_a_tokeniser_that_knows_no_word_is_refused(released, tmp_path, split):
    folder = shutil.copytree(released / "clip", tmp_path / "clip")
    tokeniser = json.loads((folder / "tokenizer.json").read_text())
    tokeniser["model"]["vocab"] = {"<|startoftext|>": 0, "<|endoftext|>": 1}
    (folder / "tokenizer.json").write_text(json.dumps(tokeniser))
    with pytest.raises(DataError, match="does not know .* words"):
        FolderTokens(folder).ids(split)


def test_an_empty_caption_is_named(released, split):
    blank = RetrievalSplit(
        "made", "test", split.image_ids, split.image_paths, split.caption_ids, ("a", " ", "b", ""), (),
        split.correspondence, None, (), "",
    )  # fmt: skip
    with pytest.raises(DataError, match="2 captions of split test have no word, among them 1, 3"):
        FolderTokens(released / "clip").ids(blank)


def test_a_tokeniser_of_another_model_is_refused(released):
    with pytest.raises(DataError, match="gives ids up to 999, but the model knows 60"):
        DualEncoder(released / "siglip", 1000)


def test_a_single_file_is_refused(released):
    with pytest.raises(DataError, match="is one file; give the folder"):
        DualEncoder(released / "clip" / "model.safetensors", 20)
