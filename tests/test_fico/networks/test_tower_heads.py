"""Heads on frozen towers: unit vectors, whatever the scale of the features; dropout in training alone."""

import torch

from fico.networks.tower_heads import TowerHeads


def heads():
    torch.manual_seed(0)
    return TowerHeads(12, 7, dim=5).eval()


def test_vectors_have_length_one_and_do_not_depend_on_the_scale_of_the_features():
    network, features = heads(), torch.randn(4, 12)
    vectors = network.encode_images(features)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(4))
    torch.testing.assert_close(network.encode_images(30 * features + 2), vectors, rtol=1e-3, atol=1e-4)
    assert network.encode_texts(torch.randn(3, 7)).shape == (3, 5)


def test_features_without_any_variance_are_finite():
    """A caption of unknown words has a tf-idf of zeros."""
    assert heads().encode_texts(torch.zeros(2, 7)).isfinite().all()


def test_dropout_is_of_the_training_alone():
    network, features = heads(), torch.randn(4, 12)
    assert torch.equal(network.encode_images(features), network.encode_images(features))
    network.train()
    assert not torch.equal(network.encode_images(features), network.encode_images(features))
