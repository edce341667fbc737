"""UCCH: unit codes, binary codes, depth."""

import pytest
import torch

from fico.networks.blocks.l2_norm import unit_along_axis_1
from fico.networks.blocks.sign import sign_codes
from fico.networks.ucch import UCCH
from fico.protocols import Encoder


def _network(**how):
    torch.manual_seed(0)
    return UCCH(**{"image_dim": 12, "text_dim": 7, "bits": 16, "hidden_dim": 10} | how)


def test_continuous_codes_have_unit_length():
    network = _network()
    images, texts = network(torch.randn(5, 12), torch.randn(5, 7))
    torch.testing.assert_close(images.norm(dim=1), torch.ones(5))
    torch.testing.assert_close(texts.norm(dim=1), torch.ones(5))


def test_the_last_map_passes_through_tanh():
    network, features = _network(), 100 * torch.randn(5, 12)
    squashed = torch.tanh(network.image_model.fc(features))
    wanted = squashed / squashed.norm(dim=1, keepdim=True)
    torch.testing.assert_close(network.image_model(features), wanted)


def test_binary_codes_are_the_signs_of_the_continuous_codes():
    network, features = _network(), torch.randn(50, 12)
    codes = network.encode_images(features)
    assert codes.unique().tolist() == [-1, 1]
    assert torch.equal(codes, network.image_model(features).sign())


def test_a_zero_becomes_plus_one_and_nan_stays():
    codes = sign_codes(torch.tensor([[0.0, -0.0, 1e-30, -1e-30, torch.nan]]))
    assert codes[0, :4].tolist() == [1, 1, 1, -1]
    assert codes[0, 4].isnan()


@pytest.mark.parametrize(("layers", "widths"), [(1, [16]), (2, [10, 16]), (3, [10, 8, 16]), (4, [10, 8, 8, 16])])
def test_layers_count_linear_maps(layers, widths):
    network = _network(image_layers=layers, inner_dim=8)
    maps = [part for part in network.image_model.fc if isinstance(part, torch.nn.Linear)]
    assert [part.out_features for part in maps] == widths
    assert maps[0].in_features == 12
    assert isinstance(network.image_model.fc[-1], torch.nn.Linear)  # tanh follows, not a ReLU


def test_no_layer_at_all_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        _network(image_layers=0)


def test_it_is_an_encoder_with_bits():
    network = _network()
    assert isinstance(network, Encoder)
    assert network.bits == 16


def test_normalising_works_along_axis_1_of_any_tensor():
    values = torch.randn(3, 4, 5)
    torch.testing.assert_close(unit_along_axis_1(values).pow(2).sum(dim=1), torch.ones(3, 5))
