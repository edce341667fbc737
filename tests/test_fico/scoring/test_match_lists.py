"""Matching in lists: keys of an image once, calls of many images, the scores of the plain loop, after a kill too."""

import numpy as np
import pytest
import torch

from fico.networks.blip2 import BLIP2
from fico.networks.xvlm import XVLM
from fico.scoring import match_tiles
from fico.scoring.host_copies import on_host
from fico.scoring.match_tiles import MatchListTiles
from fico.scoring.rerank import Rerank
from fico.types import EncodedBatch

IMAGES, TEXTS, WORDS, PIECES = 9, 40, 8, 30
NETWORKS = {
    "blip2": lambda: BLIP2(
        vocab_size=PIECES, image_size=16, patch_size=4, vision_dim=16, vision_layers=1, vision_heads=2,
        vision_inner_dim=24, dim=16, layers=3, heads=2, inner_dim=24, positions=12, queries=3, embed_dim=8,
    ),
    "xvlm": lambda: XVLM(
        vocab_size=PIECES, image_size=32, window=4, vision_dim=8, vision_depths=(2, 2), vision_heads=(2, 2), dim=16,
        heads=4, layers=1, fusion_layers=2, inner_dim=24, positions=12, embed_dim=8,
    ),
}  # fmt: skip


@pytest.fixture(scope="module", params=NETWORKS)
def network(request):
    torch.manual_seed(0)
    return NETWORKS[request.param]().eval()


def _encoded(network):
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(2, WORDS + 1, (TEXTS,), generator=generator)
    ids = torch.randint(5, PIECES, (TEXTS, WORDS), generator=generator) * (torch.arange(WORDS) < lengths[:, None])
    pixels = torch.randn(IMAGES, 3, *2 * [getattr(network, "image_size", 32)], generator=generator)
    with torch.inference_mode():
        states, texts = network.image_states(pixels), network.match_texts(ids, lengths)
    vectors = torch.nn.functional.normalize(torch.randn(IMAGES + TEXTS, 4, generator=generator))
    numbers = torch.arange(TEXTS)
    return EncodedBatch(vectors[:IMAGES], numbers[:IMAGES], vectors[IMAGES:], numbers, lengths, states, texts)


def _pairs():
    """Another number of captions for every image, none for one of them."""
    random = np.random.default_rng(0)
    rows = [random.choice(TEXTS, count, replace=False) + image * TEXTS for image, count in enumerate(range(20, 29))]
    return np.sort(np.concatenate(rows[:4] + rows[5:]))


@pytest.fixture(scope="module")
def one_by_one(network):
    """Scores of the pairs by the plain loop."""
    encoded, scores = _encoded(network), []
    with torch.inference_mode():
        for image, text in zip(*np.divmod(_pairs(), TEXTS), strict=True):
            length = encoded.text_lengths[text : text + 1]
            states = encoded.image_states[image : image + 1], encoded.text_states[text : text + 1, : int(length)]
            scores.append(float(network.match(*states, length)))
    return np.array(scores, np.float32)


@pytest.mark.parametrize(("tile", "images"), [(None, 4), (1, 4), (7, 2), (1000, 100), (20, 1)])
def test_lists_score_as_the_plain_loop(network, one_by_one, monkeypatch, tile, images):
    monkeypatch.setitem(match_tiles._GROUP, "cpu", images)
    found = Rerank(network, 1, tile=tile, progress=False).score_pairs(_encoded(network), _pairs())
    np.testing.assert_allclose(found, one_by_one, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("network", ["blip2"], indirect=True)
def test_the_logits_of_a_shared_image_are_those_of_its_copies(network):
    encoded = _encoded(network)
    with torch.inference_mode():
        shared = encoded.image_states[:1].expand(TEXTS, -1, -1)
        once = network.match(shared, encoded.text_states, encoded.text_lengths)
        each = network.match(shared.clone(), encoded.text_states, encoded.text_lengths)
    torch.testing.assert_close(once, each)


def test_keys_are_computed_once_an_image_and_calls_hold_many_images(network, monkeypatch):
    encoded, pairs, made, calls = _encoded(network), _pairs(), [], []
    image_keys, match_lists = network.image_keys, network.match_lists
    monkeypatch.setattr(network, "image_keys", lambda states: made.append(len(states)) or image_keys(states))
    monkeypatch.setattr(network, "match_lists", lambda *rows: calls.append(rows[1].shape) or match_lists(*rows))
    Rerank(network, 1, tile=64, progress=False).score_pairs(encoded, pairs)
    assert made == [4, 4]
    assert sum(images * texts for images, texts, *_ in calls) == len(pairs)
    assert sum(images > 1 for images, *_ in calls) > len(calls) / 2


def test_lists_of_many_pairs_fill_their_calls_with_little_padding():
    """A tile for a GPU: 250 to 350 captions of 5 to 21 words for each of 64 images."""
    random, captions = np.random.default_rng(0), 2000
    lengths = torch.from_numpy(random.integers(5, 22, captions))
    counts = random.integers(250, 351, 64)
    rows = [random.choice(captions, count, replace=False) + at * captions for at, count in enumerate(counts)]
    pairs = np.sort(np.concatenate(rows))
    states = torch.zeros(captions, 21, dtype=torch.int64)
    encoded = EncodedBatch(
        torch.zeros(64, 1), torch.arange(64), torch.zeros(captions, 1), torch.arange(captions), lengths,
        torch.zeros(64, 1, 1), states,
    )  # fmt: skip

    class Sizes:
        match = match_lists = image_keys = None

    tiles = MatchListTiles(Sizes(), encoded, pairs, 4096, torch.device("meta"))
    shapes = [
        encoded.text_lengths[torch.from_numpy(pairs[tiles.cells(tile)[1]] % captions)] for tile in range(len(tiles))
    ]
    words = sum(len(tile) * int(tile.max()) for tile in shapes)
    assert sum(map(len, shapes)) == len(pairs)
    assert len(tiles) <= len(pairs) / 4096 + 4  # one of each size of a list is not full
    assert words < 1.2 * sum(int(tile.sum()) for tile in shapes)


class Killed(BaseException):
    pass


def test_a_killed_matching_goes_on_where_it_stopped(network, tmp_path, monkeypatch):
    monkeypatch.setattr("fico.scoring.score_file.FLUSH_SECONDS", 0.0)
    encoded, path, calls = _encoded(network), tmp_path / "rerank.npy", []
    wanted = Rerank(network, 5, tile=16, progress=False)(encoded)
    match_lists = network.match_lists

    def dying(*rows):
        calls.append(rows[1].shape[:2].numel())
        if len(calls) == 4:
            raise Killed
        return match_lists(*rows)

    monkeypatch.setattr(network, "match_lists", dying)
    with pytest.raises(Killed):
        Rerank(network, 5, tile=16, path=path, progress=False)(encoded)
    assert len((tmp_path / "rerank.npy.journal").read_text().splitlines()) == 1 + 3
    calls.clear()
    calls.extend([0] * 4)
    found = Rerank(network, 5, tile=16, path=path, progress=False)(encoded)
    assert (found.i2t == wanted.i2t).all()
    assert (found.t2i == wanted.t2i).all()
    assert 0 < sum(calls) < wanted.pairs


def test_scores_reach_the_host_in_order(monkeypatch):
    """As of a GPU: two tiles are asked for before the first is waited for."""
    asked, waited = [], []

    class Event:
        def __init__(self, tile):
            self.tile = tile

        def synchronize(self):
            waited.append((self.tile, len(asked)))

    def tiles():
        for tile in range(5):
            asked.append(tile)
            yield tile, torch.full((2,), float(tile))

    assert [(tile, values.tolist()) for tile, values in on_host(tiles())] == [(t, [t, t]) for t in range(5)]
    asked.clear()
    monkeypatch.setattr("fico.scoring.host_copies._sent", lambda values: (values, Event(int(values[0]))))
    assert [(tile, values.tolist()) for tile, values in on_host(tiles())] == [(t, [t, t]) for t in range(5)]
    assert waited == [(0, 3), (1, 4), (2, 5), (3, 5), (4, 5)]
