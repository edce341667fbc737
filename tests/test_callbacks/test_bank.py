"""The bank of a hubness correction: the training split, in the order of its rows."""

from contextlib import nullcontext
from types import SimpleNamespace

import torch

from callbacks.bank import encode_bank
from fico.types import EncodedBatch


def test_the_bank_is_the_training_split_as_the_test_step_encodes_it(tmp_path):
    images, texts = torch.arange(5.0)[:, None].expand(5, 2), torch.arange(10.0)[:, None].expand(10, 2)
    rows = {"train": SimpleNamespace(image_ids=range(5), caption_ids=range(10))}
    data = SimpleNamespace(splits=rows, bank_dataloader=lambda: torch.arange(5).split(2))
    trainer = SimpleNamespace(
        datamodule=data,
        strategy=SimpleNamespace(batch_to_device=lambda batch: batch.flip(0)),
        precision_plugin=SimpleNamespace(test_step_context=nullcontext),
    )

    def test_step(ids, index):
        assert not torch.is_grad_enabled()
        captions = torch.cat([2 * ids, 2 * ids + 1])
        return EncodedBatch(2 * images[ids], ids, 2 * texts[captions], captions)

    found = encode_bank(trainer, SimpleNamespace(test_step=test_step), tmp_path)
    torch.testing.assert_close(found, (2 * images, 2 * texts))
