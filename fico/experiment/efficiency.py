"""Times and sizes of a tested run."""

from typing import Any

from torch import Tensor

from fico.experiment.datamodule import RetrievalDataModule
from fico.run_context import EpochOutputs


def efficiency(outputs: EpochOutputs, data: RetrievalDataModule, bits: int | None) -> dict[str, Any]:
    """Times in seconds and sizes in bytes, by the keys of ``efficiency`` in `results.json`.

    Args:
        outputs: Of the test epoch.
        data: The splits and features of the run.
        bits: Code length of a hashing model, None for floats.

    Returns:
        Sizes always; times and peak memory where they were measured; ``encoding``, a row for each number of copies,
        and ``attention``, one for each size and rule, where `callbacks.encoding_times` and
        `callbacks.attention_times` measured them. Codes count eight bits a byte as
        ``embedding_bytes``, and one byte a bit, as the paper stores them, as ``unpacked_embedding_bytes``. What
        attention at query time reads is ``feature_bytes`` of a re-ranker, and of a pair scorer ``embedding_bytes``: its
        embeddings are the vectors of all regions and words.
    """
    embeddings = outputs.embeddings
    times: dict[str, Any] = {}
    if outputs.encode_seconds is not None:
        items = len(embeddings.images) + len(embeddings.texts)
        times = {
            "encode_seconds": outputs.encode_seconds,
            "encode_cpu_seconds": outputs.encode_cpu_seconds,
            "encode_wall_seconds": outputs.encode_wall_seconds,
            "items_per_second": items / max(outputs.encode_seconds, 1e-9),
            "attention_seconds": outputs.attention_seconds,
            "peak_memory_bytes": outputs.peak_memory_bytes,
            "peak_process_memory_bytes": outputs.peak_process_memory_bytes,
            "flops_per_item": outputs.flops_per_item,
        }
        times = {name: value for name, value in times.items() if value is not None}
    values = embeddings.images.numel() + embeddings.texts.numel()
    if outputs.encoding:
        times["encoding"] = outputs.encoding
    if outputs.attention:
        times["attention"] = outputs.attention
    unpacked = values if bits else values * embeddings.images.element_size()
    return times | {
        "embedding_bytes": values // 8 if bits else unpacked,
        "unpacked_embedding_bytes": unpacked,
        "feature_bytes": _feature_bytes(outputs, data),
    }


def _feature_bytes(outputs: EpochOutputs, data: RetrievalDataModule) -> int:
    """Bytes of the inputs of all items; of a re-ranker the states, which are all it reads beside its embeddings."""
    states = (outputs.embeddings.image_states, outputs.embeddings.text_states)
    kept: list[Tensor] = [side for side in states if side is not None]
    if kept:
        return sum(side.numel() * side.element_size() for side in kept)
    split, inputs = data.splits[data.test_split], data.inputs
    return len(split.image_ids) * inputs.bytes_per_image + len(split.caption_ids) * inputs.bytes_per_text
