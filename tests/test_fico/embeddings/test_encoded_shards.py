"""Encoded batches on disk: what a killed encoding goes on with."""

import pytest
import torch

from fico.embeddings import encoded_shards
from fico.embeddings.encoded_shards import EncodedShards
from fico.types import EncodedBatch


def batch(start, words=3):
    rows = torch.arange(start, start + 2)
    return EncodedBatch(
        images=torch.full((2, 4), float(start)),
        image_ids=rows,
        texts=torch.full((2, words, 4), float(start)),
        text_ids=rows,
        text_lengths=torch.full((2,), words),
        text_states=torch.ones(2, words, dtype=torch.int64),
    )


def stored(tmp_path, monkeypatch, batches=4):
    monkeypatch.setattr(encoded_shards, "FLUSH_SECONDS", 0.0)
    shards = EncodedShards(tmp_path / "encoded", "key")
    for number in range(batches):
        shards.add(batch(2 * number, words=3 + number), seconds=0.5 * (number + 1))
    return tmp_path / "encoded"


def test_all_batches_but_the_last_come_back_in_order(tmp_path, monkeypatch):
    folder = stored(tmp_path, monkeypatch)
    again = EncodedShards(folder, "key")
    assert (again.batches, again.seconds) == (3, 2.0)
    found = list(again.stored())
    assert torch.cat([part.image_ids for part in found]).tolist() == list(range(6))
    assert [part.texts.shape[1] for part in found] == [3, 4, 5]
    assert found[0].image_states is None


def test_batches_of_several_lengths_share_a_shard(tmp_path):
    shards = EncodedShards(tmp_path, "key")
    for number in range(3):
        shards.add(batch(2 * number, words=3 + number), seconds=1.0)
    shards.flush(1.0)
    (found,) = EncodedShards(tmp_path, "key").stored()
    assert found.texts.shape == (4, 4, 4)
    assert found.text_states.shape == (4, 4)
    assert found.text_lengths.tolist() == [3, 3, 4, 4]


def test_shards_of_another_key_or_rank_and_damaged_ones_are_not_read(tmp_path, monkeypatch):
    folder = stored(tmp_path, monkeypatch)
    assert EncodedShards(folder, "other").batches == 0
    assert EncodedShards(folder, "key", rank=1).batches == 0
    second = folder / "0-000001.safetensors"
    content = bytearray(second.read_bytes())
    content[-1] ^= 1
    for damaged in (content, b"cut"):
        second.write_bytes(damaged)
        assert EncodedShards(folder, "key").batches == 1


def test_a_disk_that_refuses_costs_the_shards_alone(tmp_path, caplog):
    (tmp_path / "encoded").write_text("a file where the folder should be")
    shards = EncodedShards(tmp_path / "encoded", "key")
    for number in range(3):
        shards.add(batch(number), seconds=1.0)
    shards.flush(1.0)
    assert "cannot be stored" in caplog.text
    assert shards.batches == 0


def test_rows_that_wait_in_memory_are_bounded(tmp_path, monkeypatch):
    one = sum(getattr(batch(0), name).nbytes for name in ("images", "image_ids", "texts", "text_ids", "text_lengths"))
    monkeypatch.setattr(encoded_shards, "FLUSH_BYTES", 3 * one)
    shards = EncodedShards(tmp_path, "key")
    for number in range(9):
        shards.add(batch(2 * number), seconds=1.0)
        assert shards._pending_bytes < 4 * one
    assert shards.batches > 4
    assert torch.cat([part.image_ids for part in shards.rows()]).tolist() == list(range(18))  # the last ones too


def test_a_disk_that_refuses_the_only_copy_is_an_error(tmp_path):
    (tmp_path / "encoded").write_text("a file where the folder should be")
    shards = EncodedShards(tmp_path / "encoded", "key", is_only_copy=True)
    for number in range(3):
        shards.add(batch(number), seconds=1.0)
    with pytest.raises(OSError, match="encoded"):
        shards.flush(1.0)
