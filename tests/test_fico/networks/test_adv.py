"""ADV's network: balanced codes, text inputs, and the authors' files."""

import argparse
from collections import OrderedDict

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from fico.errors import DataError
from fico.networks.adv import ADV
from fico.networks.blocks.balanced import ConceptHead, balanced_codes
from fico.networks.blocks.bert import Bert


def _bert():
    return Bert(vocab_size=40, dim=8, layers=2, heads=2, inner_dim=16, positions=12, dropout=0.0)


def _adv(bits=16, seed=0, **how):
    torch.manual_seed(seed)
    sizes = {"region_dim": 16, "region_heads": 4, "region_inner_dim": 24, "word_dim": 8, "max_words": 9, "channels": 6}
    return ADV(image_dim=12, bits=bits, dropout=0.0, **(sizes | how)).eval()


def _regions(count=5):
    return torch.randn(count, 7, 12, generator=torch.Generator().manual_seed(0))


def _states(count=5, words=9):
    return torch.randn(count, words, 8, generator=torch.Generator().manual_seed(1))


def _ids(count=5, words=9, length=5):
    ids = torch.randint(4, 40, (count, words), generator=torch.Generator().manual_seed(2))
    return ids.masked_fill(torch.arange(words) >= length, 0)


@pytest.mark.parametrize(("bits", "above"), [(16, 8), (64, 32), (9, 4)])
def test_half_of_the_bits_are_set_and_the_lower_median_is_not(bits, above):
    values = torch.rand(20, bits, generator=torch.Generator().manual_seed(0)) / 100
    codes = balanced_codes(values, sharpness=100.0)
    assert ((codes > 0).sum(dim=1) == above).all()
    assert ((codes < 0).sum(dim=1) == bits - above).all()


def test_the_median_bit_is_zero_where_its_size_swallows_the_epsilon():
    values = torch.tensor([[1.0, 2.0, 3.0]])
    assert balanced_codes(values, 10.0)[0, 1] == 0
    assert _adv(is_screening=True).encode_images(torch.randn(50, 12)).abs().eq(1).all()


@pytest.mark.parametrize("bits", [64, 2048])
def test_codes_of_both_published_lengths_are_balanced(bits):
    network = _adv(bits=bits)
    for codes in (network.encode_images(_regions()), network.encode_texts(_states())):
        assert codes.shape == (5, bits)
        assert codes.abs().eq(1).all()
        assert (codes.mean(dim=1).abs() < 0.05).all()


def test_the_order_of_the_regions_does_not_matter():
    network, regions = _adv(), _regions()
    torch.testing.assert_close(network.img_enc(regions), network.img_enc(regions.flip(1)), atol=1e-5, rtol=0)


def test_each_region_votes_with_one_softmax_of_its_own():
    encoder, regions = _adv().img_enc, _regions()
    votes = encoder.mapping2(encoder.layer(encoder.mapping(regions))).softmax(dim=2).mean(dim=1)
    median = votes.sort(dim=1).values[:, 7:8]
    torch.testing.assert_close(encoder(regions), torch.tanh(100 * (votes - (median + 1e-8))), atol=1e-6, rtol=0)


@pytest.mark.parametrize("how", [{"vocab_size": 40}, {"bert": True}])
def test_a_text_has_the_same_code_whatever_it_is_padded_to(how):
    network = _adv(**({"bert": _bert()} if "bert" in how else how))
    short, long = _ids(words=6), _ids(words=6)
    long = torch.nn.functional.pad(long, (0, 3))
    assert torch.equal(network.encode_texts(short), network.encode_texts(long))
    torch.testing.assert_close(network.txt_enc(short), network.txt_enc(long))


def test_words_behind_the_longest_text_are_cut():
    network, ids = _adv(vocab_size=40), _ids(words=12, length=12)
    assert torch.equal(network.txt_enc(ids), network.txt_enc(ids[:, :9]))


def test_states_of_the_frozen_model_read_from_a_file_give_the_same_codes():
    """The paper size reads them; the text model itself is not needed then."""
    whole = _adv(bert=_bert())
    reading = _adv(seed=1)
    state = whole.state_dict()
    reading.load_state_dict({name: value for name, value in state.items() if "bert" not in name})
    assert torch.equal(whole.txt_enc(_ids()), reading.txt_enc(whole.txt_enc.states(_ids())))


def test_the_text_model_is_frozen():
    network = _adv(bert=_bert()).train()
    network.txt_enc(_ids()).square().sum().backward()
    assert all(parameter.grad is None for parameter in network.txt_enc.bert.parameters())
    assert network.txt_enc.mapping.weight.grad is not None


def test_no_state_takes_from_the_padding():
    bert, ids = _bert().eval(), _ids()
    torch.testing.assert_close(bert(ids, ids > 0)[:, :5], bert(ids[:, :5], ids[:, :5] > 0))


@pytest.mark.parametrize(
    ("how", "texts"),
    [({"vocab_size": 40}, _states()), ({}, _ids()), ({}, torch.zeros(5, 9, 99)), ({}, torch.zeros(5, 8))],
    ids=["states for ids", "ids for states", "width", "one vector"],
)
def test_texts_of_another_form_are_refused_in_one_sentence(how, texts):
    with pytest.raises(DataError, match=r"ADV was built for word") as caught:
        _adv(**how).encode_texts(texts)
    assert "\n" not in str(caught.value)


def _parts(network, concept=None):
    """The authors' list: image, text, concept; theirs has the text model with its pooler in it."""
    state = network.state_dict()
    parts = [
        OrderedDict((name.removeprefix(f"{side}."), value) for name, value in state.items() if name.startswith(side))
        for side in ("img_enc", "txt_enc")
    ]
    parts[1] |= {"bert.pooler.dense.weight": torch.zeros(8, 8), "bert.pooler.dense.bias": torch.zeros(8)}
    return [*parts, *([] if concept is None else [concept.state_dict()])]


def _file(network, path, **how):
    content = {
        "epoch": 12,
        "model": _parts(network, **how),
        "best_rsum": np.float64(410.2),
        "opt": argparse.Namespace(final_dims=64, data_name="f30k_precomp", use_restval=True),
        "Eiters": 4000,
    }
    torch.save(content, path)
    return path


def _same(left, right):
    states = left.state_dict(), right.state_dict()
    return all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize("concept", [None, ConceptHead(16, 5)], ids=["two", "three"])
def test_the_authors_list_loads_with_and_without_the_text_model(tmp_path, concept):
    trained = _adv(bert=_bert(), seed=1)
    path = _file(trained, tmp_path / "model_best.pth.tar", concept=concept)
    assert _same(_adv(bert=_bert()).load_released(path), trained)
    reading = _adv().load_released(path)
    assert torch.equal(reading.txt_enc.mapping.weight, trained.txt_enc.mapping.weight)
    assert torch.equal(reading.txt_enc(trained.txt_enc.states(_ids())), trained.txt_enc(_ids()))


def test_the_screening_side_takes_the_last_layer_of_the_trunk(tmp_path):
    trained = _adv(is_screening=True, bert=_bert(), seed=1)
    parts = _parts(trained)
    parts[0]["backbone.layer1.0.bn1.weight"] = torch.ones(64)
    torch.save({"model": parts}, tmp_path / "screen.pth.tar")
    assert _same(_adv(is_screening=True, bert=_bert()).load_released(tmp_path / "screen.pth.tar"), trained)


def test_safetensors_load_and_a_concept_head_in_them_is_left_alone(tmp_path):
    trained = _adv(seed=1)
    concept = {f"concept_enc.{name}": value for name, value in ConceptHead(16, 5).state_dict().items()}
    save_file(trained.state_dict() | concept, tmp_path / "adv.safetensors")
    assert _same(_adv().load_released(tmp_path / "adv.safetensors"), trained)


def test_another_code_length_names_both_lengths(tmp_path):
    path = _file(_adv(bits=32), tmp_path / "model_best.pth.tar")
    with pytest.raises(DataError, match=r"32 bits.*bits=16"):
        _adv(bits=16).load_released(path)


@pytest.mark.parametrize(
    ("theirs", "said"), [(True, "screening.*is_screening to true"), (False, "re-ranking.*to false")]
)
def test_the_other_architecture_says_what_to_set(tmp_path, theirs, said):
    path = _file(_adv(is_screening=theirs), tmp_path / "model_best.pth.tar")
    with pytest.raises(DataError, match=said):
        _adv(is_screening=not theirs).load_released(path)


def test_released_weights_do_not_fit_a_trained_embedding(tmp_path):
    path = _file(_adv(), tmp_path / "model_best.pth.tar")
    with pytest.raises(DataError, match=r"txt_enc\.words\.weight is missing"):
        _adv(vocab_size=40).load_released(path)


def test_a_model_that_is_no_list_is_refused(tmp_path):
    torch.save({"model": _adv().state_dict()}, tmp_path / "one.pth.tar")
    with pytest.raises(DataError, match="two or three state dicts"):
        _adv().load_released(tmp_path / "one.pth.tar")


class _Attack:
    def __reduce__(self):
        return print, ("this must not run",)


def test_a_pickle_that_asks_for_code_is_refused(tmp_path, capsys):
    torch.save({"model": _parts(_adv()), "opt": _Attack()}, tmp_path / "model_best.pth.tar")
    with pytest.raises(DataError, match="pickle can run code"):
        _adv().load_released(tmp_path / "model_best.pth.tar")
    assert "must not run" not in capsys.readouterr().out
