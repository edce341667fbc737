"""Contrast of pairs: against a loop, and shared by two processes."""

import math

import pytest
import torch

from fico.losses.image_text_contrast import ImageTextContrast
from tests.processes import in_two_processes

PAIRS = 6


def _vectors():
    both = torch.randn(2, PAIRS, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    images, texts = both / both.norm(dim=2, keepdim=True)
    return images.requires_grad_(), texts.requires_grad_()


def _scale():
    return torch.tensor(1.5, dtype=torch.float64, requires_grad=True)


def test_it_is_the_mean_surprise_at_the_own_partner():
    (images, texts), scale = _vectors(), _scale()
    slow = 0.0
    for mine, others in ((images.detach(), texts.detach()), (texts.detach(), images.detach())):
        for row in range(PAIRS):
            logits = [math.exp(1.5) * (mine[row] @ other).item() for other in others]
            slow += math.log(sum(map(math.exp, logits))) - logits[row]
    assert ImageTextContrast()(images, texts, scale).item() == pytest.approx(slow / (2 * PAIRS))


def test_indifferent_vectors_give_the_logarithm_of_the_batch():
    same = torch.ones(PAIRS, 4) / 2
    assert ImageTextContrast()(same, same, torch.tensor(0.0)).item() == pytest.approx(math.log(PAIRS))


def _one_process(rank, folder):
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    (images, texts), scale = _vectors(), _scale()
    rows = slice(rank * 3, rank * 3 + 3)
    loss = ImageTextContrast()(images[rows], texts[rows], scale)
    loss.backward()
    torch.save((loss.detach(), images.grad, texts.grad, scale.grad), f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


def test_the_mean_over_two_processes_is_what_one_gives(tmp_path):
    in_two_processes(_one_process, str(tmp_path))
    (images, texts), scale = _vectors(), _scale()
    loss = ImageTextContrast()(images, texts, scale)
    loss.backward()
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    wanted = (loss.detach(), images.grad, texts.grad, scale.grad)
    for one, other, whole in zip(first, second, wanted, strict=True):
        torch.testing.assert_close((one + other) / 2, whole)
