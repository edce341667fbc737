"""Linear hash heads: what the losses see, and what is stored."""

import pytest
import torch

from fico.networks.hash_heads import HashHeads


def _heads(head):
    torch.manual_seed(0)
    return HashHeads(image_dim=6, text_dim=4, bits=8, head=head, dropout=0.0), torch.randn(5, 6), torch.randn(5, 4)


@pytest.mark.parametrize("head", ["tanh", "sign"])
def test_codes_are_the_signs_of_what_the_losses_see(head):
    network, images, texts = _heads(head)
    relaxed = network(images, texts)
    for seen, codes in zip(relaxed, (network.encode_images(images), network.encode_texts(texts)), strict=True):
        assert torch.equal(torch.where(seen >= 0, 1.0, -1.0), codes)
        assert (seen.abs().eq(1) if head == "sign" else seen.abs().lt(1)).all()


def test_the_sign_has_the_gradient_of_the_tanh():
    gradients = []
    for head in ("tanh", "sign"):
        network, images, texts = _heads(head)
        (network(images, texts)[0] * torch.arange(8.0)).sum().backward()
        gradients.append(network.image_head[-1].weight.grad)
    torch.testing.assert_close(*gradients)


def test_the_scale_of_the_features_does_not_count():
    network, images, texts = _heads("tanh")
    assert torch.equal(network.encode_images(images), network.encode_images(100 * images + 3))
