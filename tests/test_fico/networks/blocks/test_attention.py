"""Cross-attention: masks, the originals' loop as second version, degenerate input, checkpoints."""

import argparse
from collections import OrderedDict

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError
from safetensors.torch import save_file

from fico.bench.attention.caption_loops import imram_by_captions, scan_by_captions
from fico.errors import DataError
from fico.networks.blocks.attention import aggregate, attention_weights
from fico.networks.blocks.l2_norm import unit_vectors
from fico.networks.blocks.region_words import WordEncoder, refuse_empty_captions
from fico.networks.imram import IMRAM
from fico.networks.scan import SCAN
from fico.protocols import Encoder, PairScorer

LENGTHS = torch.tensor([3, 7, 4, 7, 1])


def _scan(vocab_size=30, **how):
    torch.manual_seed(0)
    return SCAN(9, vocab_size, 8, 5, **how).double()


def _imram(vocab_size=30, **how):
    torch.manual_seed(0)
    return IMRAM(9, vocab_size, 8, 5, **how).double()


def _vectors(images=4):
    generator = torch.Generator().manual_seed(0)
    regions = torch.randn(images, 6, 8, generator=generator, dtype=torch.float64)
    words = torch.randn(5, 7, 8, generator=generator, dtype=torch.float64)
    return unit_vectors(regions), unit_vectors(words)  # the padding is no zero


@pytest.mark.parametrize("direction", ["t2i", "i2t"])
@pytest.mark.parametrize("norm", ["clipped_l2norm", "l2norm", "clipped", "softmax", "no_norm"])
@pytest.mark.parametrize("aggregation", ["LogSumExp", "Mean", "Max", "Sum"])
def test_scan_scores_all_pairs_as_a_loop_over_captions_does(direction, norm, aggregation):
    network, (images, texts) = _scan(direction=direction, norm=norm, aggregation=aggregation), _vectors()
    wanted = scan_by_captions(network, images, texts, LENGTHS)
    torch.testing.assert_close(network.score(images, texts, LENGTHS), wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("norm", ["clipped_l2norm", "l2norm", "clipped", "no_norm"])
@pytest.mark.parametrize("aggregation", ["LogSumExp", "Mean", "Max", "Sum"])
def test_packed_words_are_scored_as_padded_captions_are(norm, aggregation):
    network, (images, texts) = _scan(norm=norm, aggregation=aggregation), _vectors(images=3)
    candidates = [[0, 1, 3], [4], [2, 0]]  # 17, 1 and 7 words
    words = torch.full((3, 17, 8), 1e3, dtype=torch.float64)  # anything behind the last
    lengths = torch.zeros(3, 3, dtype=torch.int64)
    for row, numbers in enumerate(candidates):
        real = torch.cat([texts[number, : LENGTHS[number]] for number in numbers])
        words[row, : len(real)] = real
        lengths[row, : len(numbers)] = LENGTHS[numbers]
    scores = network.score(images, texts, LENGTHS)
    wanted = torch.cat([scores[row, numbers] for row, numbers in enumerate(candidates)])
    assert network.takes_packed
    torch.testing.assert_close(network.score_packed(images, words, lengths), wanted, rtol=1e-10, atol=1e-12)


def test_captions_are_packed_only_where_each_word_is_a_query_of_its_own():
    assert not _scan(direction="i2t").takes_packed
    assert not _scan(norm="softmax").takes_packed


@pytest.mark.parametrize("mode", ["full", "text", "image"])
@pytest.mark.parametrize(("steps", "normalise"), [(1, False), (2, True), (3, False)])
def test_imram_scores_all_pairs_as_a_loop_over_captions_does(mode, steps, normalise):
    network, (images, texts) = _imram(mode=mode, steps=steps, normalise_memory=normalise), _vectors()
    wanted = imram_by_captions(network, images, texts, LENGTHS)
    torch.testing.assert_close(network.score(images, texts, LENGTHS), wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    "network", [_scan(direction="t2i"), _scan(direction="i2t"), _imram()], ids=["t2i", "i2t", "imram"]
)
def test_padding_has_neither_influence_nor_gradient(network):
    images, texts = _vectors()
    changed = texts.clone()
    for row, length in enumerate(LENGTHS):
        changed[row, length:] = 1e3
    scores = network.score(images, texts, LENGTHS)
    torch.testing.assert_close(network.score(images, changed, LENGTHS), scores, rtol=1e-12, atol=1e-12)
    texts.requires_grad_()
    network.score(images, texts, LENGTHS).sum().backward()
    padded = torch.arange(7) >= LENGTHS[:, None]
    assert texts.grad[padded].eq(0).all()
    assert texts.grad[~padded].ne(0).any(dim=1).all()


@pytest.mark.parametrize(
    "network", [_scan(direction="t2i"), _scan(direction="i2t"), _imram()], ids=["t2i", "i2t", "imram"]
)
def test_an_all_zero_region_leaves_scores_and_gradients_finite(network):
    features = torch.rand(2, 6, 9, dtype=torch.float64)
    features[0, 2] = 0  # an image with fewer regions, filled up; the map's bias starts at 0
    texts = torch.tensor([[1, 5, 2, 0], [1, 6, 7, 2]])
    lengths = torch.tensor([3, 4])
    scores = network.score(network.encode_images(features), network.encode_texts(texts, lengths), lengths)
    scores.sum().backward()
    assert scores.isfinite().all()
    assert all(p.grad.isfinite().all() for p in network.parameters() if p.requires_grad)


def test_one_image_and_one_word_are_scored():
    """The originals' cosine drops axes of length one and fails."""
    images, texts = _vectors(images=1)
    assert _scan().score(images, texts[4:], LENGTHS[4:]).shape == (1, 1)
    assert _imram().score(images, texts[4:], LENGTHS[4:]).shape == (1, 1)


def test_swapped_sides_swap_the_scores():
    """Words asking regions is the same as regions asking words with the names exchanged."""
    images, texts = _vectors()
    ahead, back = _scan(direction="t2i"), _scan(direction="i2t")
    torch.testing.assert_close(ahead.score(images, texts), back.score(texts, images).T)


def test_weights_of_real_context_add_up_to_one_and_padding_gets_none():
    raw = torch.randn(3, 2, 4, 5)
    mask = torch.arange(5) < torch.tensor([[5], [2], [1]])
    weights = attention_weights(raw, 9.0, context_mask=mask)
    torch.testing.assert_close(weights.sum(dim=3), torch.ones(3, 2, 4))
    assert weights.masked_select(~mask[:, None, None, :].expand_as(weights)).eq(0).all()


def test_log_sum_exp_grows_with_the_number_of_words_and_the_mean_does_not():
    few, many = torch.full((1, 1, 2), 0.5), torch.full((1, 1, 20), 0.5)
    assert aggregate(many, "LogSumExp") > aggregate(few, "LogSumExp") > 0.5
    assert aggregate(many, "Mean") == aggregate(few, "Mean") == 0.5


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: _scan(direction="both"), "both"),
        (lambda: _imram(mode="both"), "both"),
        (lambda: _imram(steps=0), "at least 1, got .* 0"),
        (lambda: _scan(norm="l1norm").score(*_vectors()), "l1norm"),
        (lambda: _scan(aggregation="Median").score(*_vectors()), "Median"),
    ],
)
def test_unknown_settings_are_refused(make, named):
    with pytest.raises((ValueError, TypeCheckError), match=named):  # the second only where shapes are checked too
        make()


def test_the_backward_reader_starts_at_the_last_real_word():
    encoder = WordEncoder(30, 5, 8)
    words = torch.tensor([[1, 5, 6, 2]])
    padded = torch.tensor([[1, 5, 6, 2, 0, 0, 0]])
    alone = encoder(words, torch.tensor([4]))
    wide = encoder(padded)
    torch.testing.assert_close(wide[:, :4], alone)
    assert wide[:, 4:].eq(0).all()


def test_a_caption_of_markers_alone_is_refused_by_its_row():
    refuse_empty_captions(torch.tensor([3, 9]), torch.tensor([7, 8]))
    with pytest.raises(DataError, match="caption 8 .* no word"):
        refuse_empty_captions(torch.tensor([3, 2]), torch.tensor([7, 8]))


def test_an_unknown_word_is_a_word_like_any_other():
    network = _scan()
    known, unknown = (network.encode_texts(torch.tensor([[1, word, 2]])) for word in (9, 3))
    assert unknown.isfinite().all()
    assert not torch.equal(known, unknown)


def test_both_are_pair_scorers_with_encoders():
    for network in (_scan(), _imram()):
        assert isinstance(network, PairScorer)
        assert isinstance(network, Encoder)


def _scan_file(network, path, prefix=""):
    parts = [
        OrderedDict((prefix + name, value) for name, value in part.state_dict().items())
        for part in (network.img_enc, network.txt_enc)
    ]
    options = argparse.Namespace(data_name="f30k_precomp")
    torch.save({"epoch": 3, "model": parts, "best_rsum": np.float64(1), "opt": options, "Eiters": 7}, path)
    return path


def _imram_file(network, path):
    state = OrderedDict(
        ("module." + name.replace("img_enc.fc", "img_enc.fc_local"), value)
        for name, value in network.state_dict().items()
    )
    torch.save({"epoch": 3, "model": state, "best_rsum": np.float64(1), "opt": argparse.Namespace()}, path)
    return path


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("weight_norm", [False, True])
def test_scan_loads_the_authors_layout(tmp_path, prefix, weight_norm):
    trained = _scan(weight_norm=weight_norm)
    torch.nn.init.normal_(trained.txt_enc.embed.weight)
    loaded = _scan(weight_norm=weight_norm).load_released(_scan_file(trained, tmp_path / "model_best.pth.tar", prefix))
    assert all(torch.equal(value, trained.state_dict()[name]) for name, value in loaded.state_dict().items())


def test_imram_loads_the_authors_layout_and_safetensors(tmp_path):
    trained = _imram()
    torch.nn.init.normal_(trained.gate_i2t.weight)
    save_file(trained.state_dict(), tmp_path / "imram.safetensors")
    for path in (_imram_file(trained, tmp_path / "model_best.pth.tar"), tmp_path / "imram.safetensors"):
        loaded = _imram(mode="text").load_released(path)
        assert all(torch.equal(value, trained.state_dict()[name]) for name, value in loaded.state_dict().items())


def test_a_checkpoint_of_another_vocabulary_names_both_sizes(tmp_path):
    with pytest.raises(DataError, match="vocabulary of 31 words.*has 30"):
        _scan().load_released(_scan_file(_scan(vocab_size=31), tmp_path / "scan.pth.tar"))
    with pytest.raises(DataError, match="vocabulary of 31 words.*has 30"):
        _imram().load_released(_imram_file(_imram(vocab_size=31), tmp_path / "imram.pth.tar"))


def test_a_checkpoint_of_one_direction_does_not_fit_two(tmp_path):
    path = _scan_file(_scan(bidirectional=False), tmp_path / "scan.pth.tar")
    with pytest.raises(DataError, match="bidirectional=false, but the model has bidirectional=true"):
        _scan().load_released(path)
