"""Every image and caption of a split exactly once, whatever the batches were."""

from types import SimpleNamespace

import pytest
import torch

from fico.embeddings.collect import Collector
from fico.embeddings.encode import AutoBatchSize, by_length, encode
from fico.errors import FicoError
from fico.types import EncodedBatch, PairBatch


def encoded(image_ids, text_ids):
    def rows(ids):
        return torch.tensor(ids, dtype=torch.float32)[:, None]

    return EncodedBatch(rows(image_ids), torch.tensor(image_ids), rows(text_ids), torch.tensor(text_ids))


def collected(batches, *, images, texts):
    collector = Collector(images, texts)
    for batch in batches:
        collector.add(batch)
    return collector.finish()


def test_rows_come_in_the_order_of_their_ids():
    joined = collected([encoded([2, 0], [3, 1]), encoded([1], [0, 2])], images=3, texts=4)
    assert joined.images.flatten().tolist() == [0, 1, 2]
    assert joined.texts.flatten().tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        ([encoded([0, 1, 1], [0])], r"images.*\(1, 2\)"),
        ([encoded([0, 2], [0])], r"images.*\(1, 0\)"),
        ([encoded([0, 1, 2, 3], [0])], "images"),
        ([encoded([0, 1, 2], [0, 0])], "texts"),
        ([], "no image was encoded"),
    ],
    ids=["repeated", "missing", "unknown", "repeated text", "nothing"],
)
def test_a_sampler_that_repeats_or_drops_is_found(batches, message):
    with pytest.raises(FicoError, match=message):
        collected(batches, images=3, texts=1)


def test_encoding_without_a_trainer_gives_the_embeddings_of_every_batch():
    batches = [
        PairBatch(torch.full((1, 2), float(row)), torch.tensor([row]), torch.zeros(1, 2), torch.tensor([row]))
        for row in (1, 0)
    ]
    joined = encode(lambda b: EncodedBatch(2 * b.images, b.image_ids, b.texts, b.text_ids), batches, images=2, texts=2)
    assert joined.images.tolist() == [[0, 0], [2, 2]]


class Short:
    """An encoder on a device whose memory holds so many rows."""

    def __init__(self, most):
        self.most, self.sizes = most, []

    def __call__(self, values, lengths=None):
        self.sizes.append(len(values))
        if len(values) > self.most:
            raise torch.cuda.OutOfMemoryError("out of memory")
        return 2 * values, values[:, :1]


def test_a_batch_that_does_not_fit_is_halved_and_later_ones_start_there():
    encoder = Short(most=3)
    encode_parts = AutoBatchSize(encoder)
    values = torch.arange(22.0).reshape(11, 2)
    doubled, first = encode_parts(values)
    assert torch.equal(doubled, 2 * values)
    assert torch.equal(first, values[:, :1])
    assert encoder.sizes == [11, 5, 2, 2, 2, 2, 2, 1]
    encode_parts(values, None)
    assert max(encoder.sizes[8:]) == 2


def test_a_single_row_that_does_not_fit_raises():
    with pytest.raises(torch.cuda.OutOfMemoryError):
        AutoBatchSize(Short(most=0))(torch.zeros(4, 2))


def test_captions_go_by_length_and_come_back_in_their_order():
    lengths = torch.tensor([5, 1, 3, 2, 5, 4])
    texts = torch.arange(1, 31).reshape(6, 5) * (torch.arange(5) < lengths[:, None])
    seen = []

    def encoder(ids, own):
        seen.append(ids.shape)
        return ids.sum(dim=1, keepdim=True).float(), ids[..., None].float().expand(-1, -1, 3)

    sums, states = by_length(encoder, texts, lengths, size=2)
    assert seen == [(2, 2), (2, 4), (2, 5)]
    assert torch.equal(sums[:, 0], texts.sum(dim=1).float())
    assert torch.equal(states[..., 0], texts.float())
    assert torch.equal(by_length(lambda ids, own: own[:, None], texts, lengths, size=4)[:, 0], lengths)


def with_states(ids, words):
    batch = encoded(ids, ids)
    batch.text_lengths = torch.tensor(ids) + 1
    batch.image_states = torch.tensor(ids, dtype=torch.bfloat16)[:, None, None].expand(-1, 2, 3)
    batch.text_states = torch.tensor(ids, dtype=torch.float32)[:, None, None].expand(-1, words, 3) + 1
    batch.images = batch.images.to(torch.bfloat16)
    return batch


@pytest.mark.parametrize("most", [2**30, 0])
def test_rows_in_memory_and_in_files_are_the_same_and_no_file_stays(tmp_path, monkeypatch, most, caplog):
    monkeypatch.setattr("fico.embeddings.collect.IN_MEMORY_BYTES", most)
    collector = Collector(4, 4, tmp_path)
    with caplog.at_level("INFO"):
        for batch in (with_states([2, 0], 2), with_states([3], 5), with_states([1], 1)):
            collector.add(batch)
    found = collector.finish()
    assert ("GiB" in caplog.text) == (most == 0)
    assert found.images.dtype == torch.float32
    assert found.image_states.dtype == torch.bfloat16
    assert found.images[:, 0].tolist() == [0, 1, 2, 3]
    assert found.image_states[:, 1, 2].tolist() == [0, 1, 2, 3]
    assert found.text_lengths.tolist() == [1, 2, 3, 4]
    assert found.text_states[:, 0, 0].tolist() == [1, 2, 3, 4]
    assert found.text_states[..., 0].count_nonzero(dim=1).tolist() == [2, 1, 2, 5]
    assert not list(tmp_path.iterdir())


def test_a_disk_that_is_too_small_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr("fico.embeddings.collect.IN_MEMORY_BYTES", 0)
    monkeypatch.setattr("fico.embeddings.collect.shutil.disk_usage", lambda folder: SimpleNamespace(free=10))
    with pytest.raises(FicoError, match="has only 0.0 free; free some"):
        Collector(4, 4, tmp_path).add(with_states([0], 1))


def test_the_rows_of_several_processes_are_merged_by_id():
    whole, own, other = Collector(4, 4), Collector(4, 4), Collector(4, 4)
    for batch in (with_states([2, 0], 2), with_states([3], 5)):
        whole.add(batch)
        own.add(batch)
    whole.add(with_states([1], 1))
    for batch in (with_states([1], 1), with_states([0], 3)):  # a padded shard repeats a row
        other.add(batch)
    merged = own.merge({name: [*parts, *other.parts()[name]] for name, parts in own.parts().items()})
    for name in ("images", "texts", "image_states", "text_states", "text_lengths"):
        assert torch.equal(getattr(merged, name), getattr(whole.finish(), name)), name
    with pytest.raises(FicoError, match=r"images.*\(1, 0\)"):
        own.merge(own.parts())


def test_more_rows_than_the_split_has_are_refused_when_they_come():
    collector = Collector(3, 3)
    collector.add(encoded([0, 1, 2], [0]))
    with pytest.raises(FicoError, match=r"images.*\(1, 2\)"):
        collector.add(encoded([1], [1]))
