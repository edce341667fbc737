"""Captioning targets and likelihood."""

import pytest
import torch

from fico.losses.captioning import CaptionLikelihood, caption_targets


def test_the_mask_reaches_one_pad_symbol_beyond_the_end_marker():
    labels, mask = caption_targets(torch.tensor([[1, 5, 6, 2, 0, 0]]), torch.tensor([4]), max_len=6)
    assert labels.tolist() == [[1, 5, 6, 2, 0, 0, 0]]
    assert mask.tolist() == [[1, 1, 1, 1, 1, 0, 0]]


def test_a_long_caption_is_cut_and_ends_with_the_end_marker():
    labels, mask = caption_targets(torch.tensor([[1, 5, 6, 7, 8, 2]]), torch.tensor([6]), max_len=4)
    assert labels.tolist() == [[1, 5, 6, 2, 0]]
    assert mask.tolist() == [[1, 1, 1, 1, 1]]


def test_a_caption_that_just_fits_stays_whole():
    labels, _ = caption_targets(torch.tensor([[1, 5, 6, 2]]), torch.tensor([4]), max_len=4)
    assert labels.tolist() == [[1, 5, 6, 2, 0]]


def test_targets_do_not_depend_on_the_padding():
    narrow = caption_targets(torch.tensor([[1, 5, 2]]), torch.tensor([3]), max_len=8)
    wide = caption_targets(torch.tensor([[1, 5, 2, 0, 0, 0, 0, 0, 0, 0]]), torch.tensor([3]), max_len=8)
    assert all(torch.equal(a, b) for a, b in zip(narrow, wide, strict=True))


def test_the_likelihood_is_summed_over_words_and_divided_by_captions():
    generator = torch.Generator().manual_seed(0)
    said = torch.randn(3, 4, 9, generator=generator).log_softmax(dim=2)
    labels = torch.randint(9, (3, 4), generator=generator)
    mask = torch.tensor([[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 0, 0]], dtype=torch.float32)
    slow = -sum(said[row, step, labels[row, step]].item() for row in range(3) for step in range(4) if mask[row, step])
    assert CaptionLikelihood()(said, labels, mask).item() == pytest.approx(slow / 3, rel=1e-6)


def test_masked_words_get_no_gradient():
    said = torch.randn(2, 3, 5, requires_grad=True)
    mask = torch.tensor([[1.0, 1, 0], [1, 0, 0]])
    CaptionLikelihood()(said, torch.ones(2, 3, dtype=torch.int64), mask).backward()
    assert (said.grad.abs().sum(dim=2) > 0).tolist() == mask.bool().tolist()
