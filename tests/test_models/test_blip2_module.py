"""What BLIP-2's training does beside the parity of its values."""

import torch

from fico.networks.blip2 import BLIP2
from fico.types import PairBatch
from models._optim import adamw
from models.blip2 import BLIP2Module, truncated

SIZES = {
    "vocab_size": 30,
    "image_size": 8,
    "patch_size": 4,
    "vision_dim": 8,
    "vision_layers": 3,
    "vision_heads": 2,
    "vision_inner_dim": 8,
    "dim": 8,
    "layers": 2,
    "heads": 2,
    "inner_dim": 8,
    "queries": 2,
    "embed_dim": 4,
    "positions": 40,
}


def _module(**changed):
    torch.manual_seed(0)
    return BLIP2Module(BLIP2(**SIZES | changed), adamw)


def _batch(words=6, pairs=4, ids=None):
    generator = torch.Generator().manual_seed(0)
    return PairBatch(
        images=torch.randn(pairs, 3, 8, 8, generator=generator),
        image_ids=torch.arange(pairs) if ids is None else torch.tensor(ids),
        texts=torch.randint(5, 30, (pairs, words), generator=generator),
        text_ids=torch.arange(pairs),
        lengths=torch.tensor([words, 3, words, 4])[:pairs],
    )


def test_long_texts_keep_their_end_marker_in_training():
    batch = _batch(words=6)
    batch.texts[0, 5], batch.texts[1, 2] = 3, 3
    texts, lengths = truncated(batch, 4)
    assert lengths.tolist() == [4, 3, 4, 4]
    assert texts[0].tolist() == [*batch.texts[0, :3].tolist(), 3]
    assert texts[1, :3].tolist() == batch.texts[1, :3].tolist()
    assert batch.texts.shape == (4, 6)  # the batch itself is as it was
    assert truncated(batch, 6)[0] is batch.texts


def test_captioning_is_trained_only_where_the_network_has_that_head():
    assert set(_module().losses(_batch())) == {"contrast", "matching"}
    module = _module(captions=True)
    terms = module.losses(_batch())
    assert set(terms) == {"contrast", "matching", "captioning"}
    sum(terms.values()).backward()
    assert [name for name, parameter in module.named_parameters() if parameter.grad is None] == []


def test_the_image_of_a_text_is_never_its_negative():
    module, seen = _module().eval(), []
    match = module.network.match_logits
    module.network.match_logits = lambda states, *rest: seen.append(states) or match(states, *rest)
    batch = _batch(ids=[5, 5, 7, 5])
    batch.images[[1, 3]] = batch.images[0].clone()
    for _ in range(20):
        module.losses(batch)
    for states in seen:
        own, others, _ = states.split(4)
        assert not any(torch.equal(one, other) for one, other in zip(own, others, strict=True))


def test_lower_blocks_of_the_image_transformer_learn_more_slowly():
    module = _module().network
    optimizer = adamw(module, lr=1.0, weight_decay=0.05, layer_decay=0.5)
    rates = {id(parameter): group["lr"] for group in optimizer.param_groups for parameter in group["params"]}
    by_name = {name: rates[id(parameter)] for name, parameter in module.named_parameters()}
    blocks = "retrieval.vision_model.encoder.layers."
    assert [by_name[f"{blocks}{block}.mlp.fc1.weight"] for block in (2, 1, 0)] == [0.5, 0.25, 0.125]
    assert by_name["retrieval.vision_model.embeddings.position_embedding"] == 0.0625
    assert by_name["retrieval.vision_model.post_layernorm.weight"] == by_name["temp"] == 1.0
    assert by_name["retrieval.qformer.encoder.layer.0.output.dense.weight"] == 1.0


def test_half_batches_encode_as_whole_ones():
    module, batch = _module().eval(), _batch()
    whole = module.encode(batch)
    module._encode_images.most = module._encode_texts.most = 2
    parts = module.encode(batch)
    torch.testing.assert_close(parts.images, whole.images)
    torch.testing.assert_close(parts.image_states, whole.image_states)
    torch.testing.assert_close(parts.texts, whole.texts)
