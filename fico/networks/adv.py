"""ADV: images and sentences as codes of balanced bits, in a re-ranking and a screening architecture."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from fico.errors import DataError
from fico.networks.blocks.balanced import RegionHasher, ScreeningHead, TextHasher
from fico.networks.blocks.bert import Bert
from fico.networks.blocks.sign import sign_codes
from fico.networks.checkpoint_io.load import join_encoders, load_strictly, read_checkpoint
from fico.networks.checkpoint_io.options import check_bits


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
        vocab_size: Where set, texts are word ids with a trained embedding; otherwise states, or pieces for ``bert``.
        bert: A frozen text model in front of the text head.
        max_words: Longest text.
        channels: Of each convolution of the text head.
        dropout: In the region transformer and in the text head, 0..1.

    Source:
        Li, Mu et al., ICME 2021, and the authors' public code, whose parameter names are kept.

    Differs:
        Word states are read from a features file, made once by the frozen BERT, so they carry no dropout; at the
        padding they are zeros where the file holds none. Without such a file an embedding is trained instead. The
        screening side reads the features of its ResNet-50 from a file and trains only the last layer. A bit at the
        median is +1 or -1, never 0 (`sign_codes`).
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
            else RegionHasher(image_dim, bits, region_dim, region_heads, region_inner_dim, dropout)
        )
        self.txt_enc = TextHasher(bits, word_dim, vocab_size, bert, max_words, channels, dropout)

    def forward(
        self, images: Tensor, texts: Tensor
    ) -> tuple[Float[Tensor, "images bits"], Float[Tensor, "texts bits"]]:
        """Continuous codes of both sides, as the losses take them. Entries may be below 0.001."""
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
            texts: Word ids or states, as in `TextHasher`.
            lengths: Not used: every text is padded to the same length, and its padding counts.
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
            DataError: The file is missing, holds anything but finite weights, has another code length or the other
                architecture, or its names or shapes differ from this network's (the first are named).
        """
        state = self.remap_state_dict(read_checkpoint(path), path)
        self._check_kind(state, path)
        load_strictly(self, self._without_frozen(state), path)
        return self

    @staticmethod
    def remap_state_dict(checkpoint: Mapping[str, Any], path: Path | str) -> dict[str, Any]:
        """Map the authors' parameter names, as `read_checkpoint` gives them, to ours; ``path`` is for the messages."""
        state = join_encoders(checkpoint, path, training_head="concept head")
        return {name: value for name, value in state.items() if not name.startswith("concept_enc.")}

    def _check_kind(self, state: Mapping[str, Any], path: Path | str) -> None:
        last, screening = "txt_enc.mapping.bias", "img_enc.backbone.fc.bias"
        check_bits(state, last, self.bits, path)
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
