"""Re-ranking equals a naive double loop, whatever the tiles, and survives a kill."""

import numpy as np
import pytest
import torch

import fico
from fico.errors import DataError, UsageError
from fico.networks.imram import IMRAM
from fico.networks.scan import SCAN
from fico.protocols import Matcher
from fico.scoring.candidates import FILL, candidates
from fico.scoring.rerank import Rerank
from fico.types import EncodedBatch

IMAGES, TEXTS, WORDS = 7, 19, 6


class Scorer(torch.nn.Module):
    """A score that depends on every real word; padding would change it."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.linspace(0.5, 1.5, 4))
        self.seen = []

    def match(self, image_states, text_states, lengths=None):
        assert image_states.stride(0) == 0 or len(image_states) == 1
        self.seen.append(len(text_states))
        real = torch.arange(text_states.shape[1]) < lengths[:, None]
        words = torch.sin(3 * text_states * self.weight) * real[..., None]
        return (words.sum(dim=1) * image_states.sum(dim=1)).sum(dim=1)


def _encoded(seed=0):
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, WORDS + 1, (TEXTS,), generator=generator)
    states = torch.randn(TEXTS, WORDS, 4, generator=generator)
    return EncodedBatch(
        images=torch.nn.functional.normalize(torch.randn(IMAGES, 3, generator=generator)),
        image_ids=torch.arange(IMAGES),
        texts=torch.nn.functional.normalize(torch.randn(TEXTS, 3, generator=generator)),
        text_ids=torch.arange(TEXTS),
        text_lengths=lengths,
        image_states=torch.randn(IMAGES, 5, 4, generator=generator),
        text_states=states * (torch.arange(WORDS) < lengths[:, None])[..., None],
    )


def _slowly(scorer, encoded, first, k, rule):
    """One pair at a time; every query sorts the whole gallery."""
    found = []
    for matrix, is_image in ((first, True), (first.T, False)):
        scores = np.full(matrix.shape, FILL, np.float32)
        for query, row in enumerate(matrix):
            for item in sorted(range(len(row)), key=lambda item: (-row[item], item))[:k]:
                image, text = (query, item) if is_image else (item, query)
                length = encoded.text_lengths[text : text + 1]
                states = encoded.image_states[image : image + 1], encoded.text_states[text : text + 1, : int(length)]
                with torch.no_grad():
                    scores[query, item] = float(scorer.match(*states, length))
                scores[query, item] += row[item] if rule == "itm_plus_similarity" else 0
        found.append(scores)
    return found


@pytest.mark.parametrize("rule", ["itm", "itm_plus_similarity"])
@pytest.mark.parametrize("k", [1, 4, 11, 50])
def test_it_is_the_double_loop(k, rule):
    scorer, encoded = Scorer(), _encoded()
    i2t, t2i = _slowly(scorer, encoded, (encoded.images @ encoded.texts.T).numpy(), k, rule)
    found = fico.Rerank(scorer, k, rule=rule, progress=False)(encoded)
    np.testing.assert_allclose(found.i2t, i2t, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.t2i, t2i, rtol=1e-5, atol=1e-6)


def test_the_first_stage_may_be_any_matrix():
    """Several vectors an image with a maximum over them, for example; more queries than are sorted at once."""
    scorer, encoded = Scorer(), _encoded()
    first = np.random.default_rng(0).normal(size=(IMAGES, TEXTS)).astype(np.float32)
    encoded.images = torch.zeros(IMAGES, 2, 3)
    i2t, t2i = _slowly(scorer, encoded, first, 3, "itm_plus_similarity")
    found = Rerank(scorer, 3, rule="itm_plus_similarity", progress=False)(encoded, first)
    np.testing.assert_allclose(found.i2t, i2t, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.t2i, t2i, rtol=1e-5, atol=1e-6)


def test_the_tile_changes_nothing_but_the_last_digits():
    scorer, encoded = Scorer(), _encoded()
    whole = Rerank(scorer, 5, tile=1000, progress=False)(encoded)
    for tile in (1, 2, 7):
        part = Rerank(scorer, 5, tile=tile, progress=False)(encoded)
        np.testing.assert_allclose(part.i2t, whole.i2t, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(part.t2i, whole.t2i, rtol=1e-5, atol=1e-6)


def test_a_pair_that_both_directions_ask_for_is_scored_once():
    scorer, encoded = Scorer(), _encoded()
    found = Rerank(scorer, 50, progress=False)(encoded)
    assert sum(scorer.seen) == found.pairs == IMAGES * TEXTS
    assert (found.i2t == found.t2i.T).all()


def test_equal_first_scores_go_by_row():
    scorer, encoded = Scorer(), _encoded()
    found = Rerank(scorer, 2, progress=False)(encoded, np.zeros((IMAGES, TEXTS), np.float32))
    assert ((found.i2t != FILL) == (np.arange(TEXTS) < 2)).all()


class Killed(BaseException):
    pass


def test_a_killed_run_goes_on_where_it_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr("fico.scoring.score_file.FLUSH_SECONDS", 0.0)
    encoded, path = _encoded(), tmp_path / "rerank.npy"
    wanted = Rerank(Scorer(), 5, tile=4, progress=False)(encoded)

    class Dying(Scorer):
        def match(self, *states):
            if len(self.seen) == 6:
                raise Killed
            return super().match(*states)

    Dying.__name__ = "Scorer"  # a scorer is known by its settings and weights
    with pytest.raises(Killed):
        Rerank(Dying(), 5, tile=4, path=path, progress=False)(encoded)
    assert not path.exists()
    scorer = Scorer()
    found = Rerank(scorer, 5, tile=4, path=path, progress=False)(encoded)
    assert (found.i2t == wanted.i2t).all()
    assert (found.t2i == wanted.t2i).all()
    assert 0 < sum(scorer.seen) < wanted.pairs
    assert path.exists()


def test_a_part_of_another_work_is_refused(tmp_path):
    path = tmp_path / "rerank.npy"

    class Dying(Scorer):
        def match(self, *states):
            raise Killed

    Dying.__name__ = "Scorer"
    with pytest.raises(Killed):
        Rerank(Dying(), 5, path=path, progress=False)(_encoded())
    with pytest.raises(DataError, match="part of other scores"):
        Rerank(Scorer(), 4, path=path, progress=False)(_encoded())


def test_metrics_of_the_whole_list_do_not_apply():
    encoded = _encoded()
    found = Rerank(Scorer(), 3, progress=False)(encoded)
    labels = np.ones((IMAGES, 2), bool)
    pairs = fico.Correspondence(np.arange(TEXTS) % IMAGES)
    result = fico.evaluate_scores(i2t=found.i2t, t2i=found.t2i, correspondence=pairs, labels=labels)
    assert "category/i2t/mAP@N" not in result.metrics
    assert "instance/t2i/R@1" in result.metrics


def test_what_cannot_be_done_is_said():
    encoded = _encoded()
    with pytest.raises(UsageError, match="k is 0"):
        Rerank(Scorer(), 0)
    with pytest.raises(UsageError, match="itm, itm_plus_similarity"):
        Rerank(Scorer(), 1, rule="sum")
    encoded.images = encoded.images[:, None]
    with pytest.raises(DataError, match="several vectors"):
        Rerank(Scorer(), 1)(encoded)
    encoded.image_states = None
    with pytest.raises(DataError, match="no states"):
        Rerank(Scorer(), 1)(encoded)


def test_a_module_that_can_match_is_one():
    assert isinstance(Scorer(), Matcher)
    assert not isinstance(torch.nn.Linear(1, 1), Matcher)


@pytest.mark.parametrize("rule", ["itm", "itm_plus_similarity"])
def test_the_file_and_the_embeddings_give_the_matrices_again(tmp_path, rule):
    encoded, path = _encoded(), tmp_path / "rerank.npy"
    wanted = Rerank(Scorer(), 4, rule=rule, path=path, progress=False)(encoded)
    again = candidates(encoded.images.numpy(), encoded.texts.numpy(), 4).filled(np.load(path)[0], rule)
    assert (again.i2t == wanted.i2t).all()
    assert (again.t2i == wanted.t2i).all()
    with pytest.raises(DataError, match="3 scores for"):
        candidates(encoded.images, encoded.texts, 4).filled(np.zeros(3, np.float32), rule)


class OneByOne:
    """A pair scorer of somebody's own, which knows nothing of lists."""

    def __init__(self, network):
        self.score = network.score


def _networks():
    sizes = {"image_dim": 4, "vocab_size": 9, "embed_dim": 6, "word_dim": 5}
    torch.manual_seed(0)
    return {
        "scan t2i": SCAN(**sizes),
        "scan t2i, softmax": SCAN(**sizes, norm="softmax"),
        "scan i2t": SCAN(**sizes, direction="i2t", aggregation="Mean"),
        "imram": IMRAM(**sizes),
        "imram image": IMRAM(**sizes, mode="image"),
        "no lists": OneByOne(SCAN(**sizes)),
    }


@pytest.mark.parametrize("name", _networks())
@pytest.mark.parametrize("k", [1, 4, 11, 50])
def test_a_pair_scorer_ranks_as_it_does_alone(name, k):
    scorer, encoded = _networks()[name], _encoded()
    generator = torch.Generator().manual_seed(1)
    real = (torch.arange(WORDS) < encoded.text_lengths[:, None])[..., None]
    encoded.images = torch.randn(IMAGES, 5, 6, generator=generator)
    encoded.texts = torch.randn(TEXTS, WORDS, 6, generator=generator) * real
    first = np.random.default_rng(0).normal(size=(IMAGES, TEXTS)).astype(np.float32)
    with torch.inference_mode():
        alone = torch.cat([
            scorer.score(encoded.images, encoded.texts[row : row + 1, :length], torch.tensor([length]))
            for row, length in enumerate(encoded.text_lengths.tolist())
        ], dim=1).numpy()  # fmt: skip
    found = Rerank(scorer, k, tile=None if k == 4 else 3, progress=False)(encoded, first)
    for matrix, by, ordered in ((found.i2t, alone, first), (found.t2i, alone.T, first.T)):
        is_candidate = np.argsort(np.argsort(-ordered, axis=1), axis=1) < k
        np.testing.assert_allclose(matrix[is_candidate], by[is_candidate], rtol=1e-5, atol=1e-6)
        assert (matrix[~is_candidate] == FILL).all()


@pytest.mark.parametrize(
    ("name", "method", "most"),
    [("imram", "score_lists", 8), ("scan t2i", "score_packed", 1)],  # one call for each size of a list, or one in all
)
def test_images_share_calls(monkeypatch, name, method, most):
    """Every candidate pair is scored once, in calls of many images."""
    scorer, encoded, calls = _networks()[name], _encoded(), []
    encoded.images, encoded.texts = torch.randn(IMAGES, 5, 6), torch.randn(TEXTS, WORDS, 6)
    score = getattr(scorer, method)

    def counted(*tile):
        scores = score(*tile)
        calls.append(scores.numel())
        return scores

    monkeypatch.setattr(scorer, method, counted)
    found = Rerank(scorer, 4, progress=False)(encoded, np.random.default_rng(0).normal(size=(IMAGES, TEXTS)))
    assert sum(calls) == found.pairs
    assert len(calls) <= most
