"""ADV: images and sentences as codes of balanced bits, in a re-ranking and a screening architecture."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from fico.errors import DataError
from fico.networks.blocks.balanced import RegionEncoder, ScreeningHead, WordEncoder
from fico.networks.blocks.bert import Bert
from fico.networks.blocks.sign import sign_codes
from fico.networks.checkpoint_io.load import load_strictly, read_checkpoint


class ADV(nn.Module):
    """Efficient visual-text search by hash codes: the re-ranking architecture, or the screening one.

    Args:
        image_dim: Width of an image feature.
        bits: Length of the code; the re-ranking architecture is published with 64 and with 2048.
        is_screening: One feature per image, hashed by a linear map, instead of regions.
        region_dim: Width inside the region transformer.
        region_heads: Its attention heads.
        region_inner_dim: Width inside its perceptron.
        word_dim: Width of a word state.
        vocab_size: Given, texts are word ids with a trained embedding; otherwise states, or word pieces for ``bert``.
        bert: A frozen text model in front of the text head.
        max_words: Longest text.
        channels: Of each convolution of the text head.
        dropout: In the region transformer and in the text head, 0..1.

    Source:
        Li, Mu et al., ICME 2021, and the authors' public code, whose parameter names are kept.

    Differs:
        Word states are read from a features file, made once by the frozen BERT, so they carry no dropout; behind a
        text they are zeros where the file holds none for the padding. Where no states can be had, an embedding is
        trained in their place. The screening side reads the trunk's features from a file and trains only its last
        layer, not the ResNet-50. A bit at the median is +1 or -1, never 0 (`sign_codes`).
    """

    def __init__(
        self,
        image_dim: int,
        bits: int = 64,
        is_screening: bool = False,
        region_dim: int = 256,
        region_heads: int = 16,
        region_inner_dim: int = 2048,
        word_dim: int = 768,
        vocab_size: int | None = None,
        bert: Bert | None = None,
        max_words: int = 32,
        channels: int = 512,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.bits = bits
        self.img_enc = (
            ScreeningHead(image_dim, bits)
            if is_screening
            else RegionEncoder(image_dim, bits, region_dim, region_heads, region_inner_dim, dropout)
        )
        self.txt_enc = WordEncoder(bits, word_dim, vocab_size, bert, max_words, channels, dropout)

    def forward(
        self, images: Tensor, texts: Tensor
    ) -> tuple[Float[Tensor, "images bits"], Float[Tensor, "texts bits"]]:
        """Continuous codes of both sides, as the losses take them. Single entries may be below 0.001."""
        return self.img_enc(images), self.txt_enc(texts)

    def encode_images(self, images: Tensor) -> Float[Tensor, "images bits"]:
        """Codes of +1 and -1; of each item about half are +1.

        Args:
            images: Regions ``images regions dim``, or for the screening side ``images dim``.
        """
        return sign_codes(self.img_enc(images))

    def encode_texts(self, texts: Tensor, lengths: Tensor | None = None) -> Float[Tensor, "texts bits"]:
        """Codes of +1 and -1.

        Args:
            texts: Word ids or states, as in `WordEncoder`.
            lengths: Not looked at: every text is padded to the same length, and its padding has a say.
        """
        return sign_codes(self.txt_enc(texts))

    def load_released(self, path: Path | str) -> "ADV":
        """Load the authors' checkpoint, or the same tensors as safetensors under our names.

        Args:
            path: The authors' ``model_best.pth.tar`` (a dict whose ``model`` lists the state dicts of the image and
                the text encoder, and perhaps of the concept head), or a ``.safetensors``. The pooler is left out, and
                so are BERT and the screening trunk where the network reads their outputs from files.

        Returns:
            The network itself.

        Raises:
            DataError: The file is missing, holds anything but weights, has another code length or the other image
                side, or its names or shapes differ from this network's (the first are named).
        """
        state = self.by_our_names(read_checkpoint(path), path)
        self._check_kind(state, path)
        load_strictly(self, self._without_frozen(state), path)
        return self

    @staticmethod
    def by_our_names(checkpoint: Mapping[str, Any], path: Path | str) -> dict[str, Any]:
        """Bring what `read_checkpoint` gave to our flat names; ``path`` is for the messages."""
        if "model" not in checkpoint:
            return {name: value for name, value in checkpoint.items() if not name.startswith("concept_enc.")}
        parts = checkpoint["model"]
        if not isinstance(parts, list) or len(parts) not in (2, 3):  # image and text encoder, concept head
            raise DataError(
                f"{path} has a `model` that is no list of two or three state dicts (image encoder, text encoder, "
                "concept head); give a checkpoint of ADV"
            )
        return {
            f"{side}.{name.removeprefix('module.')}": value
            for side, part in zip(("img_enc", "txt_enc"), parts, strict=False)
            for name, value in part.items()
        }

    def _check_kind(self, state: Mapping[str, Any], path: Path | str) -> None:
        last, screening = "txt_enc.mapping.bias", "img_enc.backbone.fc.bias"
        if last in state and len(state[last]) != self.bits:
            raise DataError(
                f"{path} holds codes of {len(state[last])} bits, but the model has bits={self.bits}; "
                "set model.bits to that of the checkpoint"
            )
        if last in state and (screening in state) != isinstance(self.img_enc, ScreeningHead):
            kind = "screening" if screening in state else "re-ranking"
            raise DataError(
                f"{path} holds the {kind} architecture, but the model is the other one; "
                f"set is_screening to {str(screening in state).lower()}"
            )

    def _without_frozen(self, state: Mapping[str, Any]) -> dict[str, Any]:
        left_out = "txt_enc.bert.pooler." if self.txt_enc.bert is not None else "txt_enc.bert."
        return {
            name: value
            for name, value in state.items()
            if not name.startswith(left_out)
            and (not name.startswith("img_enc.backbone.") or name.startswith("img_enc.backbone.fc."))
        }
