"""BLIP-2: sizes, loading from every form of released weights, scores that do not depend on padding."""

import json

import pytest
import torch
from safetensors import safe_open
from typer.testing import CliRunner

from fico.cli.app import app
from fico.errors import DataError
from fico.features.blip2 import BLIP2WordPieces, blip2_pixels
from fico.networks.blip2 import BLIP2

TINY = {
    "vocab_size": 30,
    "image_size": 16,
    "patch_size": 4,
    "vision_dim": 16,
    "vision_layers": 2,
    "vision_heads": 2,
    "vision_inner_dim": 24,
    "dim": 16,
    "layers": 2,
    "heads": 2,
    "inner_dim": 24,
    "positions": 12,
    "queries": 3,
    "embed_dim": 8,
}
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwx"]  # 29, and one that starts captions


def _network(seed=0, **changed):
    torch.manual_seed(seed)
    return BLIP2(**TINY | changed).eval()


def _batch(images=3, texts=4):
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randn(images, 3, 16, 16, generator=generator)
    return pixels, torch.randint(5, 30, (texts, 7), generator=generator), torch.tensor([7, 3, 5, 2])[:texts]


@pytest.fixture
def folder(tmp_path):
    """Tiny random weights in the form of transformers, with vocabulary and processor."""
    _network().retrieval.save_pretrained(tmp_path)
    (tmp_path / "vocab.txt").write_text("\n".join(PIECES) + "\n")
    (tmp_path / "preprocessor_config.json").write_text(
        json.dumps({"image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25], "size": {"height": 9, "width": 9}})
    )
    return tmp_path


def _config(folder, **changed):
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changed))


@torch.no_grad()
def _scores(network):
    pixels, texts, lengths = _batch()
    states = network.image_states(pixels)
    scores = network.score(network.image_embeddings(states), network.encode_texts(texts, lengths))
    return scores, network.match(states, texts[:3], lengths[:3])


def test_the_released_model_has_as_many_parameters_as_the_original():
    with torch.device("meta"):
        network = BLIP2()
    assert sum(parameter.numel() for parameter in network.retrieval.parameters()) == 1_172_623_618
    assert network.image_size == 364
    assert network.retrieval.vision_model.embeddings.num_positions == 677


def test_a_model_from_scratch_can_tell_images_and_queries_apart():
    """The library's initialisation gives zero queries and an image transformer of 1e-10."""
    network, (pixels, _, _) = _network(), _batch()
    with torch.no_grad():
        states = network.image_states(pixels)
        images = network.image_embeddings(states)
    assert states.std(dim=0).mean() > 0.01
    assert (images[:, 0] - images[:, 1]).abs().max() > 1e-3


def test_padding_has_no_influence():
    network, (pixels, texts, lengths) = _network(), _batch()
    other = torch.where(torch.arange(7) < lengths[:, None], texts, 9)
    assert not torch.equal(other, texts)
    with torch.no_grad():
        torch.testing.assert_close(network.encode_texts(other, lengths), network.encode_texts(texts, lengths))
        states = network.image_states(pixels)
        wide = network.match(states, texts[:3], lengths[:3])
        torch.testing.assert_close(network.match(states, other[:3], lengths[:3]), wide)
        alone = network.match(states[1:2], texts[1:2, :3])
    torch.testing.assert_close(alone, wide[1:2])


def test_reranking_does_not_run_the_image_transformer_again():
    network, (pixels, texts, lengths) = _network(), _batch()
    states, calls = network.image_states(pixels), []
    network.retrieval.vision_model.register_forward_hook(lambda *_: calls.append(1))
    network.match(states, texts[:3], lengths[:3])
    network.image_embeddings(states)
    assert calls == []


def test_a_folder_of_weights_scores_as_the_library_does(folder):
    from transformers import Blip2ForImageTextRetrieval

    library = Blip2ForImageTextRetrieval.from_pretrained(folder).eval()
    library.vision_model.post_layernorm.eps = 1e-5
    network = BLIP2(str(folder)).load_released(folder).eval()
    pixels, texts, lengths = _batch()
    mask = (torch.arange(7) < lengths[:, None]).long()
    scores, logits = _scores(network)
    with torch.no_grad():
        wanted = library(pixels, texts, mask).logits_per_image
        matched = library(pixels, texts[:3], mask[:3], use_image_text_matching_head=True).logits_per_image[:, 1]
    torch.testing.assert_close(scores, wanted)
    torch.testing.assert_close(logits, matched)


def test_a_token_that_stands_for_the_image_drops_no_word(folder):
    """With `image_token_index` the library takes the first ids of each text for image tokens."""
    before = _scores(BLIP2(str(folder)).load_released(folder).eval())
    _config(folder, image_token_index=29)
    after = _scores(BLIP2(str(folder)).load_released(folder).eval())
    assert all(map(torch.equal, before, after))


def test_the_parts_of_large_weights_are_put_together(folder, tmp_path):
    whole = BLIP2(str(folder)).load_released(folder)
    parts = tmp_path / "parts"
    whole.retrieval.save_pretrained(parts, max_shard_size="10KB")
    assert len(list(parts.glob("*.safetensors"))) > 1
    again = BLIP2(str(parts)).load_released(parts)
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in whole.state_dict().items())
    next(parts.glob("model-00002*")).unlink()
    with pytest.raises(DataError, match=r"no weights file .*model-00002"):
        BLIP2(str(parts)).load_released(parts)


def test_positions_for_smaller_images_are_resized(folder):
    network = _network(seed=1, image_size=24).load_released(folder / "model.safetensors")
    small = _network()
    table, wanted = (net.retrieval.vision_model.embeddings.position_embedding for net in (network, small))
    assert table.shape == (1, 37, 16)
    assert torch.equal(table[:, 0], wanted[:, 0])


def test_images_of_another_size_are_refused():
    """A smaller image would take the positions of the first patches of a larger one."""
    with pytest.raises(ValueError, match="side of 12 pixels, the weights 16"):
        _network().image_states(torch.zeros(1, 3, 12, 12))


def test_wrong_weights_are_named_by_their_first_keys(folder, tmp_path):
    with pytest.raises(DataError, match=r"qformer\.encoder\.layer\.2\..* is missing.* and \d+ more"):
        _network(layers=4).load_released(folder)
    other = tmp_path / "other.pth"
    torch.save({"model": {"visual_encoder.surprise": torch.ones(1)}}, other)
    with pytest.raises(DataError, match="does not fit BLIP2: .* is missing"):
        _network().load_released(other)
    torch.save({"model": {"Qformer.bert.embeddings.LayerNorm.bias": torch.ones(16)}}, other)
    with pytest.raises(DataError, match=r"no visual_encoder.*blip2_finetune_coco\.pth"):
        _network().load_released(other)


def test_a_folder_of_another_model_is_refused(folder):
    _config(folder, qformer_config={"use_qformer_text_input": False})
    with pytest.raises(DataError, match="without text input"):
        BLIP2(str(folder))
    _config(folder, model_type="clip")
    with pytest.raises(DataError, match="config of 'clip', not of blip-2"):
        BLIP2(str(folder))
    (folder / "config.json").unlink()
    with pytest.raises(DataError, match=r"lacks config\.json"):
        BLIP2(str(folder))


def test_a_vocabulary_of_another_size_is_refused(folder):
    with pytest.raises(DataError, match="30 word pieces, but the vocabulary has 25"):
        BLIP2(str(folder), vocab_size=25)
    with pytest.raises(DataError, match="images of 16 pixels, but .* produces 24"):
        BLIP2(str(folder), image_size=24)


def test_weights_that_are_nowhere_are_named_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        DataError, match=r"config\.json, vocab\.txt or tokenizer\.json, and model\.safetensors .*FOLDER"
    ):
        blip2_pixels("Salesforce/blip2-itm-vit-g-coco")
    with pytest.raises(DataError, match="no weights file or folder"):
        BLIP2(str(tmp_path / "blip2_finetune_coco.pth"))


def test_image_size_mean_and_vocabulary_come_from_the_folder(folder):
    pixels = blip2_pixels(str(folder), size=364)
    assert pixels.size == 16  # of the table of positions, not the processor's 9
    assert tuple(pixels.std) == (0.25, 0.25, 0.25)
    reader = BLIP2WordPieces(str(folder))
    assert reader.fitted(None).sizes == {"vocab_size": 30}
    fast = {"model": {"vocab": {piece: number for number, piece in enumerate(PIECES)}}}
    (folder / "vocab.txt").unlink()
    with pytest.raises(DataError, match=r"neither vocab\.txt nor tokenizer\.json"):
        BLIP2WordPieces(str(folder))
    (folder / "tokenizer.json").write_text(json.dumps(fast))
    assert BLIP2WordPieces(str(folder)).fitted(None).sizes == {"vocab_size": 30}
    with pytest.raises(DataError, match=r"holds no vocabulary; give model\.inputs\.text\.vocab"):
        BLIP2WordPieces(str(folder / "model.safetensors"))


def test_captions_have_a_head_of_their_own_only_where_it_is_wanted():
    pixels, texts, lengths = _batch()
    network = _network(captions=True)
    logits = network.caption_logits(network.image_states(pixels), texts[:3], lengths[:3])
    assert logits.shape == (3, 7, 30)
    changed = texts[:3].clone()
    changed[:, 4] = 6
    other = network.caption_logits(network.image_states(pixels), changed, lengths[:3])
    torch.testing.assert_close(other[:, :4], logits[:, :4])  # a piece is not seen by those before it
    with pytest.raises(ValueError, match="no captioning head"):
        _network().caption_logits(network.image_states(pixels), texts[:3])


def _original(blocks=39, layers=12):
    """A value for each name of the authors' file, with as many axes as there."""
    one, table, state = torch.zeros(1), torch.zeros(1, 1), {}
    pair = lambda name: {f"{name}.weight": table, f"{name}.bias": one}  # noqa: E731
    norm = lambda name: {f"{name}.weight": one, f"{name}.bias": one}  # noqa: E731
    for at in (f"visual_encoder.blocks.{block}" for block in range(blocks)):
        state |= norm(f"{at}.norm1") | norm(f"{at}.norm2") | pair(f"{at}.attn.proj")
        state |= pair(f"{at}.mlp.fc1") | pair(f"{at}.mlp.fc2")
        state |= {f"{at}.attn.qkv.weight": table, f"{at}.attn.q_bias": one, f"{at}.attn.v_bias": one}
    for layer in range(layers):
        at = f"Qformer.bert.encoder.layer.{layer}"
        for part in ("attention", "crossattention")[: 2 - layer % 2]:
            for name in ("self.query", "self.key", "self.value", "output.dense"):
                state |= pair(f"{at}.{part}.{name}")
            state |= norm(f"{at}.{part}.output.LayerNorm")
        for kind in ("", "_query"):
            state |= pair(f"{at}.intermediate{kind}.dense") | pair(f"{at}.output{kind}.dense")
            state |= norm(f"{at}.output{kind}.LayerNorm")
    words = "Qformer.bert.embeddings"
    state |= {f"{words}.word_embeddings.weight": table, f"{words}.position_embeddings.weight": table}
    state |= {f"{words}.position_ids": table} | norm(f"{words}.LayerNorm")
    said = "Qformer.cls.predictions"
    state |= {f"{said}.bias": one} | pair(f"{said}.decoder") | pair(f"{said}.transform.dense")
    state |= norm(f"{said}.transform.LayerNorm")
    seen = torch.zeros(1, 1, 1)
    state |= {"visual_encoder.cls_token": seen, "visual_encoder.pos_embed": seen, "query_tokens": seen}
    state |= {
        "visual_encoder.patch_embed.proj.weight": torch.zeros(1, 1, 1, 1),
        "visual_encoder.patch_embed.proj.bias": one,
    }
    state |= norm("ln_vision") | pair("vision_proj") | pair("text_proj") | pair("itm_head")
    return {"model": state | {"temp": torch.tensor(0.05)}}


def test_the_authors_file_converts_under_every_name(tmp_path):
    torch.save(_original(), tmp_path / "blip2_finetune_coco.pth")
    done = CliRunner().invoke(app, ["convert", str(tmp_path / "blip2_finetune_coco.pth"), "--model", "blip2"])
    assert done.exit_code == 0, done.output
    with torch.device("meta"):
        names = set(BLIP2(captions=True).state_dict())
    with safe_open(tmp_path / "blip2_finetune_coco.safetensors", "pt") as file:
        assert set(file.keys()) == names
        assert file.get_tensor("temp").item() == pytest.approx(0.05)
