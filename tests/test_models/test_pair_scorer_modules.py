"""SCAN's and IMRAM's training step: the batch's score matrix, and what it refuses."""

import pytest
import torch

from fico.embeddings.encode import encode
from fico.errors import DataError
from fico.experiment.checkpoints.module import check_checkpoint
from fico.losses.triplet import TripletHinge
from fico.networks.imram import IMRAM
from fico.networks.scan import SCAN
from fico.protocols import PairScorer
from fico.scoring.matrix import score_matrix
from fico.types import PairBatch
from models.pair_scorer import PairScorerModule

KINDS = {
    "scan": lambda: PairScorerModule(SCAN(9, 30, 8, 5), TripletHinge(), torch.optim.Adam),
    "imram": lambda: PairScorerModule(IMRAM(9, 30, 8, 5, steps=2), TripletHinge(), torch.optim.Adam),
    "imram-text": lambda: PairScorerModule(IMRAM(9, 30, 8, 5, mode="text"), TripletHinge(), torch.optim.Adam),
}


def _module(kind):
    torch.manual_seed(0)
    module = KINDS[kind]()
    module.logged = {}
    module.log = lambda name, value, **_: module.logged.update({name: value})
    module.log_dict = lambda values, **_: module.logged.update(values)
    return module


def _batch():
    generator = torch.Generator().manual_seed(0)
    return PairBatch(
        images=torch.rand(3, 6, 9, generator=generator),
        image_ids=torch.arange(3),
        texts=torch.tensor([[1, 4, 5, 6, 7, 2], [1, 9, 2, 0, 0, 0], [1, 8, 7, 2, 0, 0]]),
        text_ids=torch.arange(3),
        lengths=torch.tensor([6, 3, 4]),
    )


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_is_the_hinge_over_the_batchs_scores(kind):
    module, batch = _module(kind), _batch()
    network = module.network
    scores = network.score(
        network.encode_images(batch.images), network.encode_texts(batch.texts, batch.lengths), batch.lengths
    )
    torch.testing.assert_close(module.training_step(batch, 0), TripletHinge()(scores))
    torch.testing.assert_close(module.logged["train/positive_score"], scores.diagonal().mean())


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_that_is_trained_gets_a_gradient(kind):
    module = _module(kind)
    module.training_step(_batch(), 0).backward()
    held = {id(p) for group in module.configure_optimizers().param_groups for p in group["params"]}
    for name, parameter in module.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad == (id(parameter) in held), name


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_caption_is_refused_by_its_row(kind):
    batch = _batch()
    batch.texts[1], batch.lengths[1] = torch.tensor([1, 2, 0, 0, 0, 0]), 2
    for step in (_module(kind).training_step, _module(kind).test_step):
        with pytest.raises(DataError, match="caption 1 .* no word"):
            step(batch, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_split_is_encoded_in_batches_and_scored_in_tiles_as_in_one(kind):
    module, whole = _module(kind).eval(), _batch()
    part = [
        PairBatch(whole.images[s], whole.image_ids[s], whole.texts[s][:, :w], whole.text_ids[s], whole.lengths[s])
        for s, w in ((slice(0, 1), 6), (slice(1, 3), 4))
    ]
    assert isinstance(module, PairScorer)
    scores = score_matrix(module, encode(module.encode, part, images=3, texts=3), image_tile=2, progress=False)
    encoded = module.test_step(whole, 0)
    wanted = module.score(encoded.images, encoded.texts, encoded.text_lengths)
    torch.testing.assert_close(torch.from_numpy(scores), wanted.detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "target"), [("scan", "models.scan.SCANModule"), ("imram", "models.imram.IMRAMModule")]
)
def test_a_checkpoint_of_an_earlier_target_fits(kind, target, tmp_path):
    """The keys of the state dict are those of the network, whatever the module was called."""
    stamp = {"model": {"module": {"_target_": target}}, "data": "f"}
    torch.save({"fico": stamp, "state_dict": _module(kind).state_dict()}, tmp_path / "best.ckpt")
    assert all(key.startswith("network.") for key in _module(kind).state_dict())
    check_checkpoint(tmp_path / "best.ckpt", _module(kind), "f")
