"""DADH's network: passes, gradients and the authors' files."""

import pytest
import torch
from safetensors.torch import save_file

from fico.errors import DataError
from fico.networks.dadh import DADH, DADHDiscriminators


def _dadh(bits=16, dropout=None, seed=0, **how):
    torch.manual_seed(seed)
    return DADH(image_dim=12, text_dim=7, bits=bits, hidden_dim=32, dropout=dropout, **how)


def _pairs(count=6):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, 12, generator=generator), torch.randn(count, 7, generator=generator)


def _same(left, right):
    states = left.state_dict(), right.state_dict()
    return all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_codes_are_the_signs_of_what_the_losses_see():
    network, (images, texts) = _dadh().eval(), _pairs()
    made = network(images, texts)
    assert torch.equal(network.encode_images(images), made.image_codes.sign())
    assert torch.equal(network.encode_texts(texts), made.text_codes.sign())
    assert made.image_features.shape == made.text_features.shape == (6, 8)
    assert made.image_features.min() >= 0


def test_one_mean_and_one_scale_are_taken_out_of_all_image_features():
    plain, scaled, (images, texts) = _dadh().eval(), _dadh(image_mean=3.0, image_scale=2.0).eval(), _pairs()
    torch.testing.assert_close(scaled(images * 2 + 3, texts).image_codes, plain(images, texts).image_codes)
    torch.testing.assert_close(scaled.encode_images(images * 2 + 3), plain.encode_images(images))


def test_batch_normalisation_takes_out_a_shift_and_a_scale_of_the_images():
    """Why the authors' normalisation is no default."""
    network, (images, texts) = _dadh().train(), _pairs(64)
    before, after = network(images, texts).image_codes, network(images * 7 + 30, texts).image_codes
    torch.testing.assert_close(before, after, atol=2e-3, rtol=0)


def test_the_second_text_pass_counts_for_the_text_statistics_alone():
    network, (images, texts) = _dadh().train(), _pairs()
    network(images, texts)
    network.detached_text_codes(texts)
    assert int(network.text_module[1].num_batches_tracked) == 2
    assert int(network.image_module[1].num_batches_tracked) == 1


def test_the_second_text_pass_gives_its_gradient_to_the_text_hash_layer_alone():
    network = _dadh().train()
    network.detached_text_codes(_pairs()[1]).sum().backward()
    reached = {name for name, parameter in network.named_parameters() if parameter.grad is not None}
    assert reached == {"hash_module.text.0.weight", "hash_module.text.0.bias"}


def test_dropout_of_zero_changes_the_names_and_nothing_else():
    plain, layered, (images, texts) = _dadh(), _dadh(dropout=0.0), _pairs()
    layered.load_state_dict(dict(zip(layered.state_dict(), plain.state_dict().values(), strict=True)))
    assert "image_module.9.running_var" in layered.state_dict()
    assert torch.equal(plain.train()(images, texts).text_codes, layered.train()(images, texts).text_codes)


def test_discriminators_take_features_and_codes_of_the_generator():
    made = _dadh()(*_pairs())
    discriminators = DADHDiscriminators(bits=16, hidden_dim=32)
    assert discriminators.feature_dis(made.text_features).shape == (6, 1)
    assert discriminators.hash_dis(made.text_codes).shape == (6, 1)


@pytest.mark.parametrize("dropout", [None, 0.5])
def test_the_authors_bare_state_dict_loads(tmp_path, dropout):
    trained, fresh = _dadh(dropout=dropout, seed=1), _dadh(dropout=dropout)
    torch.save(trained.state_dict(), tmp_path / "GEN_module.pth")
    assert not _same(trained, fresh)
    assert _same(fresh.load_released(tmp_path / "GEN_module.pth"), trained)


def test_safetensors_with_both_prefixes_load(tmp_path):
    trained, others = _dadh(seed=1), DADHDiscriminators(16, 32)
    state = {f"generator.{name}": value for name, value in trained.state_dict().items()}
    state |= {f"discriminator.{name}": value for name, value in others.state_dict().items()}
    save_file(state, tmp_path / "dadh.safetensors")
    assert _same(_dadh().load_released(tmp_path / "dadh.safetensors"), trained)


def test_another_code_length_names_both_lengths(tmp_path):
    torch.save(_dadh(bits=32).state_dict(), tmp_path / "GEN_module.pth")
    with pytest.raises(DataError, match=r"32 bits.*bits=16"):
        _dadh(bits=16).load_released(tmp_path / "GEN_module.pth")


@pytest.mark.parametrize(("theirs", "ours", "said"), [(0.5, None, "dropout to 0.5"), (None, 0.5, "dropout to null")])
def test_the_other_layer_numbering_says_what_to_set(tmp_path, theirs, ours, said):
    torch.save(_dadh(dropout=theirs).state_dict(), tmp_path / "GEN_module.pth")
    with pytest.raises(DataError, match=said):
        _dadh(dropout=ours).load_released(tmp_path / "GEN_module.pth")


def test_wider_features_name_both_shapes(tmp_path):
    torch.save(DADH(image_dim=99, text_dim=7, bits=16, hidden_dim=32).state_dict(), tmp_path / "GEN_module.pth")
    with pytest.raises(DataError, match=r"image_module\.0\.weight has shape \(32, 99\) instead of \(32, 12\)"):
        _dadh().load_released(tmp_path / "GEN_module.pth")


class _Attack:
    def __reduce__(self):
        return print, ("this must not run",)


def test_a_pickle_that_asks_for_code_is_refused(tmp_path, capsys):
    torch.save(_dadh().state_dict() | {"P": _Attack()}, tmp_path / "GEN_module.pth")
    with pytest.raises(DataError, match="pickle can run code"):
        _dadh().load_released(tmp_path / "GEN_module.pth")
    assert "must not run" not in capsys.readouterr().out
