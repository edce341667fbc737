"""A run's network on new images and texts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from fico.embeddings.encode import by_length
from fico.embeddings.store import check_finite
from fico.inference.readers import ImageInputs, TextInputs
from fico.loading.batches import collate_texts

IMAGES_AT_ONCE, TEXTS_AT_ONCE = 32, 128


@dataclass(frozen=True, slots=True, eq=False)
class EncodedTexts:
    """Embeddings of texts, and the number of words of each where a model has one vector for every word."""

    vectors: Tensor
    lengths: Int64[Tensor, " texts"] | None


class RunEncoder:
    """Embeds new images and texts as the run's model embedded its own.

    Args:
        network: In evaluation mode.
        images: Reads images.
        texts: Reads texts.
        device: Where the network runs.
    """

    def __init__(self, network: Any, images: ImageInputs, texts: TextInputs, device: str = "cpu") -> None:
        self.network: Any = network.to(device)
        self._images, self._texts, self._device = images, texts, device
        self._takes_lengths = "lengths" in signature(network.encode_texts).parameters

    @torch.inference_mode()
    def encode_images(self, images: Mapping[str, Path], *, progress: bool = False) -> Tensor:
        """``images ...``, on the CPU."""
        return self._on_images(self.network.encode_images, images, progress=progress)

    @torch.inference_mode()
    def encode_texts(self, texts: Sequence[str]) -> EncodedTexts:
        """Embeddings on the CPU, in the order of the texts."""
        rows, lengths = self._collated(texts)
        if lengths is None or not self._takes_lengths:
            parts = rows.split(TEXTS_AT_ONCE)
            vectors = torch.cat([self.network.encode_texts(part.to(self._device)).cpu() for part in parts])
        else:
            vectors = by_length(self._encode_part, rows, lengths, TEXTS_AT_ONCE)
        check_finite(vectors, texts, "text", type(self.network).__name__)
        return EncodedTexts(vectors, lengths)

    @torch.inference_mode()
    def image_states(self, images: Mapping[str, Path]) -> Tensor:
        """States of a re-ranker, ``images tokens wide``, on the CPU."""
        return self._on_images(self.network.image_states, images)

    @torch.inference_mode()
    def text_states(self, texts: Sequence[str]) -> tuple[Tensor, Int64[Tensor, " texts"] | None]:
        """What a re-ranker's `match` takes of texts, on the CPU in the order of the texts, and their lengths."""
        rows, lengths = self._collated(texts)
        parts = []
        for start in range(0, len(rows), TEXTS_AT_ONCE):
            part = slice(start, start + TEXTS_AT_ONCE)
            length = None if lengths is None else lengths[part].to(self._device)
            parts.append(self.network.match_texts(rows[part].to(self._device), length).cpu())
        return torch.cat(parts), lengths

    @torch.inference_mode()
    def match(self, images: Mapping[str, Path], texts: Sequence[str]) -> np.ndarray:
        """Scores of aligned pairs by a re-ranker; higher is nearer. One image with many texts is encoded once.

        Args:
            images: As many as texts, or one.
            texts: As many as images, or one.
        """
        states = self._on_images(self.network.image_states, images)
        rows, lengths = self._collated(texts)
        pairs = max(len(states), len(rows))
        parts = []
        for start in range(0, pairs, IMAGES_AT_ONCE):
            part = slice(start, start + IMAGES_AT_ONCE)
            size = min(IMAGES_AT_ONCE, pairs - start)
            image = (states.expand(size, *states.shape[1:]) if len(states) == 1 else states[part]).to(self._device)
            text = (rows.expand(size, -1) if len(rows) == 1 else rows[part]).to(self._device)
            length = None if lengths is None else (lengths.expand(size) if len(rows) == 1 else lengths[part])
            length = None if length is None else length.to(self._device)
            parts.append(self.network.match(image, self.network.match_texts(text, length), length).float().cpu())
        return torch.cat(parts).numpy()  # type: ignore[no-any-return]

    def _on_images(self, encode: Any, images: Mapping[str, Path], *, progress: bool = False) -> Tensor:
        rows = self._images.rows(images, progress=progress)
        starts = range(0, len(rows), IMAGES_AT_ONCE)
        parts = [torch.from_numpy(np.stack(rows[start : start + IMAGES_AT_ONCE])) for start in starts]
        encoded = torch.cat([encode(part.to(self._device)).cpu() for part in parts])
        check_finite(encoded, list(images), "image", type(self.network).__name__)
        return encoded

    def _collated(self, texts: Sequence[str]) -> tuple[Tensor, Tensor | None]:
        return collate_texts(list(self._texts.rows(texts)))

    def _encode_part(self, texts: Tensor, lengths: Tensor) -> Tensor:
        encoded: Tensor = self.network.encode_texts(texts.to(self._device), lengths.to(self._device))
        return encoded.cpu()
