"""What batching of candidate pairs costs: padding, calls, and CPU time beside that of all pairs."""

import time

import numpy as np
import pytest
import torch

from fico.networks.imram import IMRAM
from fico.networks.scan import SCAN
from fico.scoring.matrix import score_matrix
from fico.scoring.pair_tiles import ListTiles
from fico.scoring.rerank import Rerank
from fico.types import EncodedBatch

SIZES = {"image_dim": 4, "vocab_size": 9, "embed_dim": 64, "word_dim": 5}


def _encoded(images, captions, regions=36, dim=64):
    """Vectors with captions of 5 to 21 words, as those of `shapes` have."""
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(5, 22, (captions,), generator=generator)
    real = (torch.arange(21) < lengths[:, None])[..., None]
    return EncodedBatch(
        images=torch.nn.functional.normalize(torch.randn(images, regions, dim, generator=generator), dim=-1),
        image_ids=torch.arange(images),
        texts=torch.nn.functional.normalize(torch.randn(captions, 21, dim, generator=generator), dim=-1) * real,
        text_ids=torch.arange(captions),
        text_lengths=lengths,
    )


def _candidates(images, captions, k, direction):
    """Pairs of k random items a query, as ascending keys."""
    random = np.random.default_rng(0)
    if direction == "i2t":
        rows = [random.choice(captions, k, replace=False) + image * captions for image in range(images)]
    else:
        rows = [random.choice(images, k, replace=False) * captions + caption for caption in range(captions)]
    return np.sort(np.concatenate(rows))


@pytest.mark.parametrize(("direction", "k"), [("i2t", 30), ("t2i", 6)])
def test_two_percent_of_the_pairs_are_scored_in_few_calls_with_little_padding(direction, k):
    encoded = _encoded(300, 1500, regions=1, dim=1)
    pairs = _candidates(300, 1500, k, direction)
    assert len(pairs) == 0.02 * 300 * 1500
    tiles = ListTiles(SCAN(**SIZES), encoded, pairs, 128, torch.device("cpu"))
    cells = np.concatenate([tiles.cells(tile)[1] for tile in range(len(tiles))])
    assert np.array_equal(np.sort(cells), np.arange(len(pairs)))
    assert len(tiles) < 1.25 * len(pairs) / 128
    words = sum(
        texts.shape[0] * texts.shape[1] * texts.shape[2] for _, texts, _ in map(tiles.arguments, range(len(tiles)))
    )
    assert words < 1.3 * int(encoded.text_lengths[pairs % 1500].sum())


@pytest.mark.slow
@pytest.mark.parametrize(("direction", "k"), [("i2t", 30), ("t2i", 6)])
def test_two_percent_of_the_pairs_cost_at_most_three_percent(direction, k):
    """CPU time, the least of several rounds, of IMRAM; what all pairs cost is known from sixteen of the images."""
    images, captions, threads = 300, 1500, torch.get_num_threads()
    scorer, encoded, part = IMRAM(**SIZES).eval(), _encoded(images, captions), _encoded(16, captions)
    pairs, rerank = _candidates(images, captions, k, direction), Rerank(scorer, 1, progress=False)
    torch.set_num_threads(1)
    try:
        some, whole = [], []
        for _ in range(3):
            some.append(_cpu_seconds(lambda: rerank.score_pairs(encoded, pairs)))
            whole.append(_cpu_seconds(lambda: score_matrix(scorer, part, progress=False)) * images / 16)
    finally:
        torch.set_num_threads(threads)
    assert min(some) <= 0.03 * min(whole), f"{min(some):.3f} s of {min(whole):.3f} s"


def _cpu_seconds(call):
    begin = time.process_time()
    call()
    return time.process_time() - begin
