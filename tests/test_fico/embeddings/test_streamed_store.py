"""A store that is written row by row, by two processes and in any order, is the one that is written at once."""

import numpy as np
import pytest
import torch

from fico.embeddings.manifest import write_manifest
from fico.embeddings.store import EmbeddingStore
from fico.embeddings.streamed_store import StreamedStore, as_stored
from fico.types import Correspondence, EncodedBatch

IMAGES, PER_IMAGE, WORDS, DIM = 7, 2, 5, 16
IDS = tuple(f"i{row}" for row in range(IMAGES)), tuple(f"c{row}" for row in range(IMAGES * PER_IMAGE))
OWNERS = np.repeat(np.arange(IMAGES), PER_IMAGE)
LABELS = np.random.default_rng(0).random((IMAGES, 11)) < 0.5


def encoded(kind):
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(IMAGES, DIM, generator=generator)
    texts = torch.randn(len(OWNERS), DIM, generator=generator)
    lengths = None
    if kind == "codes":
        images, texts = images.sign(), texts.sign()
    if kind == "words":
        images, lengths = images[:, None].repeat(1, 3, 1), torch.arange(len(OWNERS)) % WORDS + 1
        mask = torch.arange(WORDS)[None] < lengths[:, None]
        texts = texts[:, None].repeat(1, WORDS, 1).masked_fill(~mask[..., None], 0.0)
    return EncodedBatch(images, torch.arange(IMAGES), texts, torch.arange(len(OWNERS)), lengths)


def batch(whole, images):
    captions = torch.from_numpy(np.flatnonzero(np.isin(OWNERS, images)))
    lengths = None if whole.text_lengths is None else whole.text_lengths[captions]
    texts = whole.texts[captions] if lengths is None else whole.texts[captions, : int(lengths.max())]
    return EncodedBatch(whole.images[images], torch.tensor(images), texts, captions, lengths)


@pytest.mark.parametrize("kind", ["floats", "codes", "words"])
def test_the_files_are_those_of_a_store_that_is_written_at_once(tmp_path, kind):
    whole, bits = encoded(kind), DIM if kind == "codes" else None
    common = {"origin": {"model": "m"}, "bits": bits}
    EmbeddingStore.write(
        tmp_path / "once", whole.images, whole.texts, image_ids=IDS[0], caption_ids=IDS[1],
        correspondence=Correspondence(OWNERS), labels=LABELS, text_lengths=whole.text_lengths, **common,
    )  # fmt: skip
    parts = [as_stored(batch(whole, images), IDS, "m", bits) for images in ([4, 5], [0, 1], [6, 3], [2])]
    counts = {"images": IMAGES, "texts": len(OWNERS)}
    first, second = (
        StreamedStore(tmp_path / "rows", parts[own], **counts, words=WORDS, labels=LABELS) for own in (0, 1)
    )
    first.create()
    first.write(parts[::2])
    second.write(parts[1::2])
    write_manifest(tmp_path / "rows", first.described(IDS), Correspondence(OWNERS), classes=11, **common)
    for name in ("images.safetensors", "texts.safetensors", "manifest.json"):
        assert (tmp_path / "rows" / name).read_bytes() == (tmp_path / "once" / name).read_bytes(), name


def test_half_precision_is_stored_as_float32_and_states_are_not(tmp_path):
    whole = encoded("floats")
    whole.images, whole.image_states = whole.images.bfloat16(), whole.images
    found = as_stored(whole, IDS, "m", None)
    assert found.images.dtype == torch.float32
    assert found.image_states is None
