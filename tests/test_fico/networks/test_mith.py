"""MITH: tokens choose concepts, padding has no influence, both granularities make the code."""

import math

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from fico.errors import DataError
from fico.networks.blocks.concepts import ConceptTransformer, aggregate_tokens
from fico.networks.mith import MITH

BITS, DIM = 6, 8


def _network(bits=BITS):
    torch.manual_seed(0)
    return MITH(5, 30, bits, embed_dim=DIM, word_dim=4, top_k=2, mlp_layers=1, layers=1, heads=2).eval()


def _inputs():
    generator = torch.Generator().manual_seed(1)
    texts, lengths = torch.zeros(4, 7, dtype=torch.int64), torch.tensor([7, 3, 5, 2])
    for row, length in enumerate(lengths):
        texts[row, :length] = torch.randint(4, 30, (int(length),), generator=generator)
    return torch.randn(4, 9, 5, generator=generator), texts, lengths


@pytest.mark.parametrize("top_k", [1, 2, 50])
def test_each_concept_is_the_softmax_mean_of_the_tokens_that_chose_it_in_loops(top_k):
    generator = torch.Generator().manual_seed(0)
    tokens, scores = torch.randn(3, 4, DIM, generator=generator), torch.randn(3, 4, BITS, generator=generator).tanh()
    scores[0, :, 2] = -0.5  # a concept that no token chooses
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 1, 0]]).bool()
    found = aggregate_tokens(tokens, scores, top_k, mask)
    for item in range(3):
        for concept in range(BITS):
            chosen = []
            for token in range(4):
                best = sorted(scores[item, token].tolist(), reverse=True)[:top_k]
                value = float(scores[item, token, concept])
                if mask[item, token] and value > 0 and value in best:
                    chosen.append((token, math.exp(value)))
            total = sum(weight for _, weight in chosen)
            expected = sum((weight / total * tokens[item, token] for token, weight in chosen), torch.zeros(DIM))
            torch.testing.assert_close(found[item, concept], expected)
    assert found[0, 2].eq(0).all()


def test_the_local_branch_is_clips_block_and_one_linear_map_per_bit():
    torch.manual_seed(0)
    branch, concepts = ConceptTransformer(DIM, BITS, layers=1, heads=2), torch.randn(3, BITS, DIM)
    positions = torch.tensor(
        [
            [f(row / 10000 ** (2 * (i // 2) / DIM)) / math.sqrt(DIM) for i, f in enumerate([math.sin, math.cos] * 4)]
            for row in range(BITS)
        ]
    )
    layer, states = branch.layers[0], concepts + positions
    normed = layer.norm1(states)
    states = states + layer.self_attn(normed, normed, normed, need_weights=False)[0]
    inner = layer.linear1(layer.norm2(states))
    states = states + layer.linear2(inner * torch.sigmoid(1.702 * inner))
    found, codes = branch(concepts)
    torch.testing.assert_close(found, states)
    for bit in range(BITS):
        torch.testing.assert_close(codes[:, bit], torch.tanh(states[:, bit] @ branch.weight[bit] + branch.bias[bit]))


def test_both_granularities_are_the_code():
    network, (images, texts, lengths) = _network(), _inputs()
    for side, codes in zip(
        network(images, texts, lengths),
        (network.encode_images(images), network.encode_texts(texts, lengths)),
        strict=True,
    ):
        assert torch.equal(torch.where(side.global_codes + side.local_codes >= 0, 1.0, -1.0), codes)
        assert side.global_codes.abs().max() <= 1
        assert side.local_codes.abs().max() <= 1
        torch.testing.assert_close(side.concepts.norm(dim=2), torch.ones(4, BITS))
        assert not torch.allclose(side.global_codes, side.local_codes, atol=0.1)


def test_the_padding_of_a_caption_has_no_influence():
    network, (images, texts, lengths) = _network(), _inputs()
    _, padded = network(images, F.pad(texts, (0, 5)), lengths)
    for row, length in enumerate(lengths.tolist()):
        _, alone = network(images[row : row + 1], texts[row : row + 1, :length], lengths[row : row + 1])
        torch.testing.assert_close(alone.local_codes[0], padded.local_codes[row])
        torch.testing.assert_close(alone.global_codes[0], padded.global_codes[row])


def test_tokens_choose_their_concepts_without_a_gradient():
    network, (images, texts, lengths) = _network(), _inputs()
    image, text = network(images, texts, lengths)
    (image.local_codes.sum() + text.local_codes.sum()).backward()
    assert all(parameter.grad is None for parameter in network.global_concepts.parameters())


def test_weights_of_another_code_length_are_refused(tmp_path):
    save_file(_network(bits=16).state_dict(), tmp_path / "weights.safetensors")
    with pytest.raises(DataError, match="16"):
        _network().load_released(tmp_path / "weights.safetensors")
    again = MITH(5, 30, 16, embed_dim=DIM, word_dim=4, top_k=2, mlp_layers=1, layers=1, heads=2).eval()
    images, _, _ = _inputs()
    same = again.load_released(tmp_path / "weights.safetensors").encode_images(images)
    assert torch.equal(same, _network(bits=16).encode_images(images))
