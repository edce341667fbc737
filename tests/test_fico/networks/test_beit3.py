"""BEiT-3: padding, experts, drop path, initial values, and what its weights file may hold."""

import pytest
import torch
from safetensors.torch import save_file

from fico.cli.convert import convert
from fico.errors import DataError
from fico.networks.beit3 import BEiT3
from fico.networks.blocks.multiway import MultiwayLayer
from fico.networks.checkpoint_io.resize import resize_position_table

SIZES = {"vocab_size": 20, "image_size": 16, "patch_size": 8, "dim": 12, "layers": 2, "heads": 3, "inner_dim": 24}


def _network(seed=0, **changed):
    torch.manual_seed(seed)
    return BEiT3(**SIZES | {"text_rows": 10} | changed)


def _images(count=2, size=16):
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(1))


def _same(left, right):
    states = left.state_dict(), right.state_dict()
    return all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def _values(network):
    """Parameters and the mask token, which a checkpoint holds too."""
    return sum(value.numel() for value in network.state_dict().values())


def test_the_released_sizes_have_the_parameters_of_the_released_models():
    with torch.device("meta"):
        assert _values(BEiT3()) == 222_458_881
        assert _values(BEiT3(dim=1024, layers=24, heads=16, inner_dim=4096)) == pytest.approx(675e6, rel=1e-3)


def test_the_padding_has_no_influence():
    network = _network().eval()
    texts = torch.tensor([[0, 5, 6, 2, 1, 1], [0, 7, 8, 9, 3, 2]])
    lengths = torch.tensor([4, 6])
    wanted = network.encode_texts(texts, lengths)
    other = texts.clone()
    other[0, 4:] = 0
    torch.testing.assert_close(network.encode_texts(other, lengths), wanted)
    torch.testing.assert_close(network.encode_texts(texts[:1, :4], lengths[:1]), wanted[:1])
    torch.testing.assert_close(network.encode_texts(other), wanted)  # up to the end marker
    assert not torch.allclose(network.encode_texts(other, torch.tensor([6, 6]))[0], wanted[0], atol=1e-3)


def test_each_side_has_experts_of_its_own():
    network = _network()
    network.encode_images(_images())[:, 0].sum().backward()
    trained = {name for name, parameter in network.named_parameters() if parameter.grad is not None}
    assert any(".A." in name for name in trained)
    assert not any(".B." in name or "language" in name or "text" in name for name in trained)


def test_embeddings_have_unit_length():
    network = _network().eval()
    vectors = torch.cat([network.encode_images(_images()), network.encode_texts(torch.tensor([[0, 4, 2]]))])
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(3))


def test_half_precision_stays_inside():
    network, images, texts = _network().eval(), _images(), torch.tensor([[0, 4, 7, 2]])
    with torch.no_grad():
        wanted = network.encode_images(images), network.encode_texts(texts)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            got = network.encode_images(images), network.encode_texts(texts)
    for half, whole in zip(got, wanted, strict=True):
        assert half.dtype == torch.float32
        assert not torch.equal(half, whole)
        torch.testing.assert_close(half, whole, atol=0.05, rtol=0)


def test_drop_path_grows_over_the_layers_and_keeps_the_mean():
    assert [layer.drop_path for layer in _network(layers=3, drop_path=0.2).beit3.encoder.layers] == pytest.approx(
        [0, 0.1, 0.2]
    )
    torch.manual_seed(0)
    layer = MultiwayLayer(4, 1, 8, drop_path=0.25)
    branch = torch.ones(4000, 1, 4)
    dropped = layer._drop_path(branch)
    assert dropped.unique().tolist() == pytest.approx([0, 4 / 3])
    assert (dropped[:, 0] == 0).all(dim=1).float().mean() == pytest.approx(0.25, abs=0.03)
    assert dropped.mean() == pytest.approx(1, abs=0.03)
    assert layer.eval()._drop_path(branch) is branch


def test_initial_values_are_those_of_the_authors():
    network = _network(dim=96, inner_dim=96, text_rows=600, vocab_size=400)
    for name, value in network.state_dict().items():
        if ".embed_positions." in name:
            assert value.std() == pytest.approx(1, abs=0.1)
        elif name.endswith("text_embed.weight"):
            assert value.std() == pytest.approx(96**-0.5, rel=0.05)
        elif "vision_embed.proj" not in name and value.ndim == 2:
            assert value.abs().max() <= 0.02
            assert value.std() > 0.01
        elif name.endswith((".bias", "token")) and "vision_embed.proj" not in name:
            assert value.eq(0).all()
    assert network.logit_scale.exp().item() == pytest.approx(1 / 0.07)


def test_the_depth_of_a_parameter_follows_the_recipe():
    """Whatever is called embedding lies deepest, heads and the last normalisation on top."""
    network = _network(layers=3)
    depth = {name: network.layers_above(name) for name, _ in network.named_parameters()}
    for name, above in depth.items():
        if ".layers." in name:
            assert above == 3 - int(name.split(".layers.")[1][0])
        else:
            assert above == (4 if "embed" in name else 0), name
    assert set(depth.values()) == {0, 1, 2, 3, 4}


@pytest.mark.parametrize("key", ["model", "module", None])
def test_the_authors_layouts_load(tmp_path, key):
    trained, fresh = _network(), _network(seed=1)
    assert not _same(trained, fresh)
    torch.save({key: trained.state_dict()} if key else trained.state_dict(), tmp_path / "beit3.pth")
    assert _same(fresh.load_released(tmp_path / "beit3.pth"), trained)


@pytest.mark.parametrize("layers", [12, 24])
def test_the_base_and_the_large_model_are_converted(tmp_path, layers):
    trained, fresh = _network(layers=layers), _network(seed=1, layers=layers)
    torch.save({"model": trained.state_dict()}, tmp_path / "beit3.pth")
    converted = convert(tmp_path / "beit3.pth", "beit3")
    assert _same(fresh.load_released(converted.path), trained)


def test_a_checkpoint_of_another_image_size_loads_with_its_table_resized(tmp_path, caplog):
    trained, larger = _network(), _network(seed=1, image_size=32)
    save_file(trained.state_dict(), tmp_path / "small.safetensors")
    with caplog.at_level("INFO"):
        larger.load_released(tmp_path / "small.safetensors")
    assert "resized from 7 to 19 rows" in caplog.text
    old, new = (network.beit3.encoder.embed_positions.A.weight for network in (trained, larger))
    torch.testing.assert_close(new[:3], old[:3])
    torch.testing.assert_close(new[3:].mean(dim=0), old[3:].mean(dim=0), atol=0.05, rtol=0)
    assert larger.encode_images(_images(size=32)).shape == (2, 12)


def test_a_table_that_is_no_square_is_refused():
    with pytest.raises(DataError, match="8 rows, which is not a square grid"):
        resize_position_table(torch.zeros(8, 4), 19, 3, "file")


def test_a_file_of_another_model_names_the_first_keys_that_differ(tmp_path):
    save_file({"visual.conv1.weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(DataError, match=r"beit3\.text_embed\.weight is missing") as caught:
        _network().load_released(tmp_path / "other.safetensors")
    assert "\n" not in str(caught.value)


def test_a_file_of_another_size_names_the_shapes(tmp_path):
    save_file(_network(dim=24).state_dict(), tmp_path / "wide.safetensors")
    with pytest.raises(DataError, match=r"text_embed\.weight has shape \(20, 24\) instead of \(20, 12\)"):
        _network().load_released(tmp_path / "wide.safetensors")


def test_a_file_of_another_vocabulary_names_both_sizes(tmp_path):
    save_file(_network(vocab_size=21).state_dict(), tmp_path / "words.safetensors")
    with pytest.raises(DataError, match="word table of 21 rows instead of 20"):
        _network().load_released(tmp_path / "words.safetensors")


def test_a_model_that_is_no_dict_is_refused(tmp_path):
    torch.save({"model": [1]}, tmp_path / "list.pth")
    with pytest.raises(DataError, match="not a dict of tensors"):
        _network().load_released(tmp_path / "list.pth")


def test_sizes_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match="not a multiple of patch_size"):
        _network(image_size=20)
    with pytest.raises(ValueError, match="does not divide among 5 heads"):
        _network(heads=5)
