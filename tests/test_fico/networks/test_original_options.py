"""Options of the original SCAN, IMRAM and VSRN: GRU layers, weight norm, normalisation, graph layers."""

import pytest
import torch
from safetensors.torch import save_file

from fico.errors import DataError
from fico.networks.imram import IMRAM
from fico.networks.scan import SCAN
from fico.networks.vsrn import VSRN

SIZES = {"image_dim": 9, "vocab_size": 30, "embed_dim": 8, "word_dim": 5}
TEXTS, LENGTHS = torch.tensor([[1, 5, 6, 2], [1, 7, 2, 0]]), torch.tensor([4, 3])


def _saved(network, path):
    save_file(network.state_dict(), path / "weights.safetensors")
    return path / "weights.safetensors"


@pytest.mark.parametrize(
    ("kind", "option", "value", "default"),
    [
        (SCAN, "num_layers", 2, 1),
        (SCAN, "bidirectional", False, True),
        (SCAN, "weight_norm", True, False),
        (IMRAM, "num_layers", 2, 1),
        (IMRAM, "weight_norm", True, False),
        (VSRN, "num_layers", 3, 1),
        (VSRN, "graph_layers", 2, 4),
    ],
)
def test_an_option_of_the_weights_loads_where_it_is_set_and_is_named_where_not(tmp_path, kind, option, value, default):
    trained = kind(**SIZES, **{option: value})
    path = _saved(trained, tmp_path)
    loaded = kind(**SIZES, **{option: value}).load_released(path)
    assert all(torch.equal(tensor, trained.state_dict()[name]) for name, tensor in loaded.state_dict().items())
    stored, built = str(value).lower(), str(default).lower()
    with pytest.raises(DataError, match=f"{option}={stored}, but the model has {option}={built}; set {option} to"):
        kind(**SIZES).load_released(path)


@pytest.mark.parametrize("kind", [SCAN, IMRAM])
def test_vectors_are_normalised_unless_switched_off(kind):
    torch.manual_seed(0)
    plain = kind(**SIZES, normalise_images=False, normalise_texts=False)
    unit = kind(**SIZES)
    unit.load_state_dict(plain.state_dict())
    images = torch.rand(2, 6, 9)
    for raw, normalised in (
        (plain.encode_images(images), unit.encode_images(images)),
        (plain.encode_texts(TEXTS, LENGTHS), unit.encode_texts(TEXTS, LENGTHS)),
    ):
        assert not torch.allclose(raw, normalised)
        torch.testing.assert_close(torch.nn.functional.normalize(raw, dim=2), normalised, atol=1e-6, rtol=1e-5)
    assert not plain.encode_texts(TEXTS, LENGTHS)[1, 3].any()  # the padding stays zero


def test_vsrn_normalises_images_unless_switched_off_and_takes_absolute_values_where_asked():
    torch.manual_seed(0)
    unit, images = VSRN(**SIZES).eval(), torch.rand(3, 6, 9)
    plain, absolute = VSRN(**SIZES, normalise_images=False).eval(), VSRN(**SIZES, use_abs=True).eval()
    for network in (plain, absolute):
        network.load_state_dict(unit.state_dict())
    raw = plain.encode_images(images)
    torch.testing.assert_close(torch.nn.functional.normalize(raw), unit.encode_images(images))
    assert not torch.allclose(raw, unit.encode_images(images))
    torch.testing.assert_close(absolute.encode_images(images), unit.encode_images(images).abs())
    torch.testing.assert_close(absolute.encode_texts(TEXTS, LENGTHS), unit.encode_texts(TEXTS, LENGTHS).abs())


@pytest.mark.parametrize("kind", [SCAN, IMRAM, VSRN])
def test_a_deep_gru_ignores_the_padding(kind):
    network = kind(**SIZES, num_layers=2).eval()
    alone = network.encode_texts(TEXTS[1:, :3], LENGTHS[1:])
    together = network.encode_texts(TEXTS, LENGTHS)[1:]
    torch.testing.assert_close(together if together.ndim == 2 else together[:, :3], alone)
