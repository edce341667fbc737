"""The two losses of UCCH against loops, and the rules of its memory bank."""

import math

import pytest
import torch

from fico.losses.contrastive_hashing import ContrastiveHashing
from fico.losses.cross_modal_ranking import CrossModalRanking
from tests.processes import in_two_processes

BITS, PAIRS, ROWS = 8, 5, 20


def _codes(seed=0, pairs=PAIRS):
    codes = torch.randn(2, pairs, BITS, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    images, texts = codes / codes.norm(dim=2, keepdim=True)
    return images.requires_grad_(), texts.requires_grad_()


def _contrast(**how):
    return ContrastiveHashing(**{"train_pairs": ROWS, "bits": BITS, "negatives": 6} | how).double()


def test_contrast_equals_a_loop_over_signs_of_the_bank():
    loss, (images, texts) = _contrast(), _codes()
    rows, draws = torch.tensor([3, 9, 0, 19, 4]), torch.randint(ROWS, (PAIRS, 6))
    keys = [[loss.memory[row].sign(), *loss.memory[draw].sign()] for row, draw in zip(rows, draws, strict=True)]
    terms = loss(images, texts, rows, draws=draws)
    for side, codes in ((terms.image, images), (terms.text, texts)):
        slow, codes = 0.0, codes.detach()
        for i in range(PAIRS):
            logits = [float(key @ codes[i]) / (0.9 * math.sqrt(BITS)) for key in keys[i]]
            slow -= logits[0] - math.log(sum(math.exp(logit) for logit in logits))
        assert side.item() == pytest.approx(slow / PAIRS, rel=1e-6)


def test_a_drawn_own_row_is_not_masked():
    loss, (images, texts) = _contrast(), _codes()
    rows = torch.arange(PAIRS)
    terms = loss(images, texts, rows, draws=rows.unsqueeze(1).expand(-1, 6))
    torch.testing.assert_close(terms.image_logits, terms.image_logits[:, :1].expand(-1, 7))
    assert terms.image.item() == pytest.approx(math.log(7))


def test_while_warming_up_the_keys_are_the_signs_of_the_batch_own_one_first():
    loss, (images, texts) = _contrast(), _codes()
    terms = loss(images, texts, torch.arange(PAIRS), warmup=True)
    keys = ((images + texts) / 2).sign()
    for i in range(PAIRS):
        order = [i, *(j for j in range(PAIRS) if j != i)]
        torch.testing.assert_close(terms.text_logits[i], keys[order] @ texts[i] / loss.scale)


def test_without_momentum_the_keys_always_come_from_the_batch():
    loss, (images, texts) = _contrast(momentum=0.0), _codes()
    assert loss(images, texts, torch.arange(PAIRS)).image_logits.shape == (PAIRS, PAIRS)


@pytest.mark.parametrize(("warmup", "momentum"), [(False, 0.4), (True, 0.0)])
def test_the_bank_moves_towards_the_mean_code_in_the_rows_of_the_batch_only(warmup, momentum):
    loss, (images, texts) = _contrast(), _codes()
    rows, before = torch.tensor([3, 9, 0, 19, 4]), loss.memory.clone()
    loss(images, texts, rows, warmup=warmup)
    mean = (images + texts).detach() / 2
    moved = momentum * before[rows] + (1 - momentum) * mean / mean.norm(dim=1, keepdim=True)
    torch.testing.assert_close(loss.memory[rows], moved / moved.norm(dim=1, keepdim=True), rtol=1e-6, atol=1e-6)
    others = torch.ones(ROWS, dtype=torch.bool).index_fill(0, rows, False)
    assert torch.equal(loss.memory[others], before[others])


def test_the_bank_is_updated_after_the_keys_were_read_and_carries_no_gradient():
    loss, (images, texts) = _contrast(), _codes()
    rows = torch.arange(PAIRS)
    own = (loss.memory[rows].sign() * images).sum(dim=1) / loss.scale
    terms = loss(images, texts, rows)
    torch.testing.assert_close(terms.image_logits[:, 0], own)
    assert not loss.memory.requires_grad
    assert [name for name, _ in loss.named_parameters()] == []


def test_about_69_percent_of_a_fresh_bank_are_negative_and_its_rows_have_unit_length():
    bank = ContrastiveHashing(train_pairs=4000, bits=BITS).memory
    assert (bank < 0).float().mean().item() == pytest.approx(0.69, abs=0.01)
    torch.testing.assert_close(bank.norm(dim=1), torch.ones(4000))


def test_keys_are_drawn_from_the_whole_bank_anew_each_step_and_the_same_for_one_seed():
    loss = _contrast(negatives=4000, seed=1)
    first = loss._draw(2)
    assert first.unique().tolist() == list(range(ROWS))
    counts = first.flatten().bincount(minlength=ROWS) / first.numel()
    assert counts.min() > 0.8 / ROWS
    assert counts.max() < 1.2 / ROWS
    images, texts = _codes(pairs=2)
    loss(images, texts, torch.arange(2))
    assert not torch.equal(loss._draw(2), first)
    assert torch.equal(_contrast(negatives=4000, seed=1)._draw(2), first)
    assert not torch.equal(_contrast(negatives=4000, seed=2)._draw(2), first)


def test_a_resumed_loss_goes_on_as_the_first_would_have():
    images, texts = _codes()
    rows, first, resumed = torch.arange(PAIRS), _contrast(), _contrast()
    first(images, texts, rows)
    resumed.load_state_dict(first.state_dict())
    for loss in (first, resumed):
        loss.last = loss(images, texts, rows).image_logits
    assert torch.equal(first.last, resumed.last)


def test_wrong_constants_are_refused():
    with pytest.raises(ValueError, match="momentum"):
        _contrast(momentum=1.0)
    with pytest.raises(ValueError, match="temperature"):
        _contrast(temperature=0.0)


def _one_process(rank, folder):
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    loss = ContrastiveHashing(train_pairs=20, bits=8, negatives=6)
    codes = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(0))
    local = slice(0, 3) if rank == 0 else slice(3, 5)
    loss(codes[0, local], codes[1, local], torch.arange(5)[local])
    torch.save((loss.memory, loss._draw(4)), folder / f"{rank}.pt")
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def test_two_processes_keep_one_bank_and_draw_different_keys(tmp_path):
    in_two_processes(_one_process, tmp_path)
    (bank, draws), (other_bank, other_draws) = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    assert torch.equal(bank, other_bank)
    assert not torch.equal(draws, other_draws)
    alone = ContrastiveHashing(train_pairs=20, bits=8, negatives=6)
    codes = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(0))
    alone(codes[0], codes[1], torch.arange(5))
    torch.testing.assert_close(bank, alone.memory)


def _slow_ranking(scores, margin, shift):
    i2t = t2i = 0.0
    count = len(scores)
    for i in range(count):
        row = [float(s) if s >= scores[i, i] - margin else float(s) - shift for s in scores[i]]
        column = [float(s) if s >= scores[i, i] - margin else float(s) - shift for s in scores[:, i]]
        positive = float(scores[i, i])
        i2t += -positive + math.log(sum(math.exp(s) for s in row)) + margin
        t2i += -positive + math.log(sum(math.exp(s) for s in column)) + margin
    return i2t / count, t2i / count


@pytest.mark.parametrize("shift", [0.1, 1.0])
def test_ranking_equals_a_loop_in_both_directions(shift):
    images, texts = _codes(pairs=9)
    terms = CrossModalRanking(margin=0.2, shift=shift)(images, texts)
    i2t, t2i = _slow_ranking((images @ texts.T).detach(), 0.2, shift)
    assert terms.i2t.item() == pytest.approx(i2t, rel=1e-9)
    assert terms.t2i.item() == pytest.approx(t2i, rel=1e-9)
    assert terms.i2t.item() != pytest.approx(terms.t2i.item(), rel=1e-6)
