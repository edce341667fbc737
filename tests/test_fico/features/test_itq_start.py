"""Hash heads that start as ITQ give its codes."""

from types import SimpleNamespace

import numpy as np
import torch

from fico.features.itq_start import ITQStart
from fico.networks.hash_heads import HashHeads
from fico.search.itq import ITQ


def _inputs(text_dim=16):
    draws = np.random.default_rng(0)
    images, texts = (draws.normal(size=(200, dim)).astype(np.float32) for dim in (16, text_dim))
    rows = SimpleNamespace(images=images, texts=texts)
    return SimpleNamespace(splits={"train": rows}, sizes={"image_dim": 16, "text_dim": text_dim})


def _start(bits, inputs):
    network = HashHeads(16, inputs.sizes["text_dim"], bits).eval()
    before = network.text_head[-1].weight.clone()
    return network, before, ITQStart().apply(network, None, inputs)


def _codes(encode, rows):
    return encode(torch.from_numpy(rows)).detach().numpy()


def test_both_heads_give_the_codes_of_one_itq_of_normalised_rows():
    inputs = _inputs()
    network, _, note = _start(8, inputs)
    sides = [network.image_head[0](torch.from_numpy(side)) for side in vars(inputs.splits["train"]).values()]
    itq = ITQ(8).fit(*sides)
    assert np.array_equal(_codes(network.encode_images, inputs.splits["train"].images), itq.encode(sides[0]).to_signs())
    assert np.array_equal(_codes(network.encode_texts, inputs.splits["train"].texts), itq.encode(sides[1]).to_signs())
    assert "ITQ of 8 bits" in note


def test_bits_beyond_the_width_and_sides_of_two_widths_stay_random():
    network, before, note = _start(24, _inputs())
    assert torch.equal(network.text_head[-1].weight[16:], before[16:])
    assert not torch.equal(network.text_head[-1].weight[:16], before[:16])
    assert "ITQ of 16 bits" in note
    network, before, note = _start(8, _inputs(text_dim=24))
    assert torch.equal(network.text_head[-1].weight, before)
    assert note.startswith("no warm start")
