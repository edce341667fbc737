"""Contrast and matching of image-text pairs: targets, negatives, and what several processes see."""

import pytest
import torch
import torch.distributed as dist
from torch.nn import functional as F

from fico.losses.gather import gather_rows, local_rows, max_over_ranks
from fico.losses.image_text_matching import HardNegatives, ImageTextMatching, negative_weights
from fico.losses.same_image_contrast import SameImageContrast, same_image
from tests.processes import in_two_processes


def _logits(rows=5, seed=0):
    return torch.randn(rows, rows, generator=torch.Generator().manual_seed(seed))


def test_contrast_of_different_images_is_smoothed_cross_entropy():
    i2t, t2i, target = _logits(), _logits(seed=1), torch.arange(5)
    got = SameImageContrast(0.1)(i2t, t2i, same_image(target, target))
    wanted = sum(F.cross_entropy(logits, target, label_smoothing=0.1) for logits in (i2t, t2i)) / 2
    torch.testing.assert_close(got, wanted)


def test_captions_of_one_image_share_the_target():
    ids = torch.tensor([7, 3, 7, 4, 9])
    logits = torch.full((5, 5), -20.0)
    logits[ids[:, None] == ids] = 20.0
    assert SameImageContrast()(logits, logits.T, same_image(ids, ids)) == pytest.approx(
        2 / 5 * torch.log(torch.tensor(2.0))
    )


@pytest.mark.parametrize("floor", [None, 1e-5])
def test_no_negative_shows_the_image_of_its_row(floor):
    ids = torch.tensor([7, 3, 7, 4, 7])
    is_same = same_image(ids, ids)
    logits = _logits() + 50 * is_same  # the same image is the most similar by far
    torch.manual_seed(0)
    for _ in range(50):
        drawn = HardNegatives(floor)(logits, is_same)
        assert not (ids[drawn] == ids).any()


def test_the_two_ways_to_weigh_negatives():
    is_same, logits = torch.eye(3, dtype=torch.bool), torch.tensor([[9.0, 1.0, 0.0], [0.0, 9.0, 0.0], [2.0, 0.0, 9.0]])
    torch.testing.assert_close(negative_weights(logits, is_same)[0, 1:], torch.tensor([1.0, 0.0]).softmax(0))
    with_floor = negative_weights(logits, is_same, 1e-5)
    torch.testing.assert_close(with_floor[0, 1:], logits[0].softmax(0)[1:] + 1e-5)
    assert not negative_weights(logits.requires_grad_(), is_same).requires_grad


def test_similar_negatives_are_drawn_more_often():
    logits = torch.tensor([[0.0, 3.0, 0.0]]).repeat(4000, 1)
    is_same = torch.tensor([[True, False, False]]).repeat(4000, 1)
    torch.manual_seed(0)
    fraction = (HardNegatives()(logits, is_same) == 1).float().mean()
    assert fraction == pytest.approx(torch.tensor([3.0, 0.0]).softmax(0)[0].item(), abs=0.02)


def test_a_batch_of_one_image_still_has_a_finite_loss():
    is_same = torch.ones(4, 4, dtype=torch.bool)
    assert HardNegatives()(_logits(4), is_same).shape == (4,)
    assert SameImageContrast(0.1)(_logits(4), _logits(4, 1), is_same).isfinite()


def test_matching_counts_every_row_alike():
    positives, negatives = (
        torch.tensor([[0.0, 1.0], [0.5, 0.0]]),
        torch.randn(4, 2, generator=torch.Generator().manual_seed(0)),
    )
    wanted = F.cross_entropy(torch.cat([positives, negatives]), torch.tensor([1, 1, 0, 0, 0, 0]))
    assert ImageTextMatching()(positives, negatives) == wanted


def test_one_process_gathers_its_local_rows():
    rows = torch.ones(2, 3, requires_grad=True)
    assert not gather_rows(rows).requires_grad
    assert gather_rows(rows, "local").requires_grad
    assert gather_rows(rows, "all").requires_grad
    assert local_rows(2, 2) == slice(0, 2)
    assert max_over_ranks(5, torch.device("cpu")) == 5


def _gathering(rank, folder):
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    gradients = {}
    for gradient in ("none", "local", "all"):
        rows = torch.full((2, 1), float(rank + 1), requires_grad=True)
        every = gather_rows(rows, gradient)
        assert every.flatten().tolist() == [1, 1, 2, 2]
        assert every[local_rows(2, 4)].tolist() == rows.tolist()
        if every.requires_grad:
            (every.sum() * (rank + 1)).backward()
        gradients[gradient] = None if rows.grad is None else rows.grad.flatten().tolist()
    gradients["max"] = max_over_ranks(10 + rank, torch.device("cpu"))
    torch.save(gradients, folder / f"{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_gather_with_the_gradient_that_was_asked_for(tmp_path):
    """`local` is the gradient of the loss of this rank, `all` adds that of the other rank."""
    in_two_processes(_gathering, tmp_path)
    found = [torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)]
    assert [found[rank]["none"] for rank in (0, 1)] == [None, None]
    assert [found[rank]["local"] for rank in (0, 1)] == [[1, 1], [2, 2]]
    assert [found[rank]["all"] for rank in (0, 1)] == [[3, 3], [3, 3]]
    assert [found[rank]["max"] for rank in (0, 1)] == [11, 11]
