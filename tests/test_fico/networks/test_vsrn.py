"""VSRN: unit vectors, the axis of its normalisation, padding, graph layers, options, captioner."""

import pytest
import torch

from fico.networks.blocks.captioner import Captioner
from fico.networks.vsrn import VSRN, RegionGraph
from fico.protocols import Encoder


def _network(flickr30k=False, seed=0):
    torch.manual_seed(seed)
    return VSRN(
        image_dim=9,
        vocab_size=30,
        embed_dim=8,
        word_dim=5,
        normalise_regions=not flickr30k,
        final_batch_norm=flickr30k,
    ).eval()


def _captions(*lengths):
    texts = torch.zeros(len(lengths), max(lengths), dtype=torch.int64)
    for row, length in enumerate(lengths):
        texts[row, :length] = torch.tensor([1, *range(4 + row, 4 + row + length - 2), 2])
    return texts, torch.tensor(lengths)


@pytest.mark.parametrize("flickr30k", [False, True])
def test_both_sides_have_unit_length(flickr30k):
    network = _network(flickr30k)
    for vectors in (network.encode_images(torch.randn(3, 6, 9)), network.encode_texts(*_captions(4, 7, 2))):
        torch.testing.assert_close(vectors.norm(dim=1), torch.ones(3))


def test_the_reasoned_regions_are_normalised_over_regions_not_channels():
    _, regions = _network()(torch.randn(3, 6, 9))
    torch.testing.assert_close(regions.pow(2).sum(dim=1), torch.ones(3, 8))
    assert not torch.allclose(regions.pow(2).sum(dim=2), torch.ones(3, 6), atol=0.1)


@pytest.mark.parametrize("flickr30k", [False, True])
def test_only_the_coco_branch_forgets_the_scale_of_the_features(flickr30k):
    network, images = _network(flickr30k), torch.randn(3, 6, 9)
    for number in range(1, 5):  # otherwise the graph layers are the identity, and the last normalisation forgets it
        torch.nn.init.ones_(network.img_enc.get_submodule(f"Rs_GCN_{number}.W.1").weight)
    same = torch.allclose(network.encode_images(3 * images), network.encode_images(images), atol=1e-5)
    assert same is not flickr30k


def test_only_the_flickr30k_branch_ends_with_a_batch_norm():
    assert not any(name.startswith("img_enc.bn.") for name in _network().state_dict())
    network, images = _network(flickr30k=True), torch.randn(3, 6, 9)
    torch.nn.init.ones_(network.img_enc.bn.bias)
    torch.nn.init.zeros_(network.img_enc.bn.weight)
    torch.testing.assert_close(network.encode_images(images), torch.full((3, 8), 8**-0.5))


def test_the_order_of_regions_matters():
    network, images = _network(), torch.randn(3, 6, 9)
    assert not torch.allclose(network.encode_images(images.flip(1)), network.encode_images(images), atol=1e-3)


def test_padding_behind_a_caption_has_no_influence():
    network = _network()
    texts, lengths = _captions(7, 4)
    padded = torch.nn.functional.pad(texts, (0, 3))
    alone = network.encode_texts(texts[1:, :4], lengths[1:])
    torch.testing.assert_close(network.encode_texts(padded, lengths)[1:], alone)
    torch.testing.assert_close(network.encode_texts(padded), network.encode_texts(texts, lengths))


def test_an_item_is_encoded_alone_as_in_company():
    network, images = _network(flickr30k=True), torch.randn(4, 6, 9)
    torch.testing.assert_close(network.encode_images(images[2:3]), network.encode_images(images)[2:3])


def test_a_fresh_graph_layer_is_the_identity():
    regions = torch.randn(3, 6, 8)
    torch.testing.assert_close(RegionGraph(8)(regions), regions)


@pytest.mark.parametrize("dim", [4, 8], ids=["merged maps of more regions than channels", "map by map"])
def test_a_graph_layer_equals_convolutions_and_a_loop_over_pairs_of_regions(dim):
    torch.manual_seed(0)
    layer, regions = RegionGraph(dim).double(), torch.randn(2, 3, dim, dtype=torch.float64)
    torch.nn.init.normal_(layer.W[1].weight)
    by_channel = regions.transpose(1, 2)
    theta, phi, g = (_convolve(part, by_channel) for part in (layer.theta, layer.phi, layer.g))
    message = torch.zeros_like(by_channel)
    for image in range(2):
        for i in range(3):
            for j in range(3):
                affinity = theta[image, :, i] @ phi[image, :, j] / 3
                message[image, :, i] += affinity * g[image, :, j]
    norm = torch.nn.BatchNorm1d(dim).double()
    norm.weight, norm.bias = layer.W[1].weight, layer.W[1].bias
    slow = (norm(_convolve(layer.W[0], message)) + by_channel).transpose(1, 2)
    out = layer(regions)
    torch.testing.assert_close(out, slow)
    torch.testing.assert_close(layer.W[1].running_var, norm.running_var)
    torch.testing.assert_close(layer.W[1].running_mean, norm.running_mean)
    parameters = tuple(layer.parameters())
    grads, slow_grads = (torch.autograd.grad(y.pow(3).sum(), parameters) for y in (out, slow))
    torch.testing.assert_close(grads, slow_grads)


def _convolve(part, by_channel):
    return torch.nn.functional.conv1d(by_channel, part.weight, part.bias)


def test_it_is_an_encoder():
    assert isinstance(_network(), Encoder)


def test_the_captioner_sees_no_later_word():
    torch.manual_seed(0)
    captioner, regions = Captioner(30, 8, 6, 5).eval(), torch.randn(2, 5, 8)
    words = torch.randint(1, 30, (2, 6))
    changed = words.clone()
    changed[:, 3:] = 7
    before, after = captioner(regions, words), captioner(regions, changed)
    torch.testing.assert_close(before[:, :3], after[:, :3])
    assert not torch.allclose(before[:, 3:], after[:, 3:])


def test_the_captioner_says_probabilities_and_looks_at_the_image():
    torch.manual_seed(0)
    captioner, words = Captioner(30, 8, 6, 5).eval(), torch.randint(1, 30, (2, 6))
    said = captioner(torch.randn(2, 5, 8), words)
    torch.testing.assert_close(said.exp().sum(dim=2), torch.ones(2, 6))
    assert not torch.allclose(said, captioner(torch.randn(2, 5, 8), words))


def test_the_captioner_attends_as_the_formula_says():
    torch.manual_seed(0)
    attention = Captioner(30, 8, 6, 5).decoder.attention
    states, state = torch.randn(2, 5, 6), torch.randn(2, 6)
    pairs = torch.cat([states, state.unsqueeze(1).expand(-1, 5, -1)], dim=2)
    weights = attention.linear2(torch.tanh(attention.linear1(pairs))).softmax(dim=1)
    torch.testing.assert_close(attention(states, attention.keys(states), state), (weights * states).sum(dim=1))


def test_the_captioner_attends_with_the_state_before_the_step():
    torch.manual_seed(0)
    captioner, seen, said = Captioner(30, 8, 6, 5).eval(), [], []
    captioner.decoder.attention.register_forward_hook(lambda _, given, __: seen.append(given[2]))
    captioner.decoder.rnn.register_forward_hook(lambda _, __, output: said.append(output[0][:, 0]))
    regions = torch.randn(2, 5, 8)
    captioner(regions, torch.randint(1, 30, (2, 3)))
    before = [captioner.encoder(regions)[1][0], *said[:-1]]
    for state, wanted in zip(seen, before, strict=True):
        torch.testing.assert_close(state, wanted)
