"""DADH: two deep perceptrons with batch normalisation that hash images and texts, and their two discriminators."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from fico.errors import DataError
from fico.networks.blocks.sign import sign_codes
from fico.networks.checkpoint_io.load import load_strictly, read_checkpoint
from fico.networks.checkpoint_io.options import check_bits

_DROPOUT_LAYOUT = "image_module.8.weight"  # a linear layer only where dropout layers are counted too
_HASH_WIDTH = 512  # hidden width of the code discriminator, whatever the sizes of the generator


@dataclass(frozen=True, slots=True, eq=False)
class HashedPairs:
    """Continuous codes in -1..1 and the non-negative features that they are computed from."""

    image_codes: Float[Tensor, "pairs bits"]
    text_codes: Float[Tensor, "pairs bits"]
    image_features: Float[Tensor, "pairs dim"]
    text_features: Float[Tensor, "pairs dim"]


class DADH(nn.Module):
    """Deep adversarial discrete hashing: the generator, the only part that inference needs.

    Args:
        image_dim: Width of the image features; 4096 for VGG-19.
        text_dim: Width of the text features; 300 for Doc2Vec.
        bits: Length of the code.
        hidden_dim: Width after the first layer, a multiple of 4; the next two have a half and a quarter of it.
        dropout: Probability of dropout after each ReLU, 0..1. None leaves the layers out, which numbers
            the parameters as the authors' MIRFlickr model does; any number, 0 too, as their NUS-WIDE model.
        image_mean: Subtracted from every image feature.
        image_scale: Divides every image feature after that.

    Source:
        Bai et al., ICMR 2020, and the authors' public code (``GEN``), whose parameter names are kept.

    Differs:
        The authors standardise the whole matrix of image features by one mean and one deviation, queries included.
        Here both are plain arguments and change nothing by default: the batch normalisation after the first layer
        removes any shift and scale. The CNN-F trunk on raw images is left out.
    """

    def __init__(
        self,
        image_dim: int,
        text_dim: int,
        bits: int = 64,
        hidden_dim: int = 8192,
        dropout: float | None = None,
        image_mean: float = 0.0,
        image_scale: float = 1.0,
    ) -> None:
        super().__init__()
        if hidden_dim % 4:
            raise ValueError(f"hidden_dim must be a multiple of 4, got {hidden_dim}")
        self.bits = bits
        self.image_mean = image_mean
        self.image_scale = image_scale
        widths = [hidden_dim, hidden_dim // 2, hidden_dim // 4]
        self.image_module = _perceptron([image_dim, *widths], dropout)
        self.text_module = _perceptron([text_dim, *widths], dropout)
        self.hash_module = nn.ModuleDict(
            {side: nn.Sequential(nn.Linear(widths[-1], bits), nn.Tanh()) for side in ("image", "text")}
        )

    def forward(self, images: Float[Tensor, "pairs image_dim"], texts: Float[Tensor, "pairs text_dim"]) -> HashedPairs:
        """Codes and features of both sides, as the losses take them."""
        image_features = self.image_module((images - self.image_mean) / self.image_scale)
        text_features = self.text_module(texts)
        return HashedPairs(
            image_codes=self.hash_module["image"](image_features),
            text_codes=self.hash_module["text"](text_features),
            image_features=image_features,
            text_features=text_features,
        )

    def detached_text_codes(self, texts: Float[Tensor, "pairs text_dim"]) -> Float[Tensor, "pairs bits"]:
        """Continuous text codes whose gradient reaches the text hash layer only.

        In training mode this is another pass through the text perceptron: it moves the running statistics again.
        """
        codes: Tensor = self.hash_module["text"](self.text_module(texts).detach())
        return codes

    def encode_images(self, images: Float[Tensor, "images image_dim"]) -> Float[Tensor, "images bits"]:
        """Codes of +1 and -1."""
        features = self.image_module((images - self.image_mean) / self.image_scale)
        return sign_codes(self.hash_module["image"](features))

    def encode_texts(
        self, texts: Float[Tensor, "texts text_dim"], lengths: Tensor | None = None
    ) -> Float[Tensor, "texts bits"]:
        """Codes of +1 and -1. Text features have no length: ``lengths`` is not used."""
        return sign_codes(self.hash_module["text"](self.text_module(texts)))

    def load_released(self, path: Path | str) -> "DADH":
        """Load the authors' checkpoint, or the same tensors as safetensors.

        Args:
            path: The authors' ``GEN_module.pth``, a bare state dict, or a ``.safetensors`` under the same names.
                Names may have the prefix ``generator.``; those with ``discriminator.`` are left out.

        Returns:
            The network itself. Discriminators and code matrix are in no released file.

        Raises:
            DataError: The file is missing, holds anything but finite weights, has another code length or the other
                dropout layout, or its names or shapes differ from this network's (the first are named).
        """
        state = self.remap_state_dict(read_checkpoint(path), path)
        self._check_kind(state, path)
        load_strictly(self, state, path)
        return self

    @staticmethod
    def remap_state_dict(checkpoint: Mapping[str, Any], path: Path | str) -> dict[str, Any]:
        """Map the authors' parameter names, as `read_checkpoint` gives them, to ours; ``path`` is for the messages."""
        return {
            name.removeprefix("generator."): value
            for name, value in checkpoint.items()
            if not name.startswith("discriminator.")
        }

    def _check_kind(self, state: Mapping[str, Any], path: Path | str) -> None:
        last = "hash_module.text.0.bias"
        check_bits(state, last, self.bits, path)
        has_dropout, expected = (_DROPOUT_LAYOUT in names for names in (state, self.state_dict()))
        if last in state and has_dropout != expected:
            raise DataError(
                f"{path} was trained {'with' if has_dropout else 'without'} dropout, which numbers its layers in "
                f"another way; set dropout to {'0.5' if has_dropout else 'null'}"
            )


class DADHDiscriminators(nn.Module):
    """Modality discriminators, one on the features, one on the codes. Used in training only.

    Args:
        bits: Length of the code.
        hidden_dim: That of the generator, a multiple of 16; features are a quarter of it wide.

    Source:
        The authors' public code (``DIS``), whose parameter names are kept.
    """

    def __init__(self, bits: int, hidden_dim: int) -> None:
        super().__init__()
        quarter, eighth, sixteenth = hidden_dim // 4, hidden_dim // 8, hidden_dim // 16
        self.feature_dis = nn.Sequential(
            nn.Linear(quarter, eighth), nn.ReLU(), nn.Linear(eighth, sixteenth), nn.ReLU(), nn.Linear(sixteenth, 1)
        )
        self.hash_dis = nn.Sequential(nn.Linear(bits, _HASH_WIDTH), nn.ReLU(), nn.Linear(_HASH_WIDTH, 1))
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.kaiming_normal_(layer.weight)
                nn.init.zeros_(layer.bias)


def _perceptron(widths: list[int], dropout: float | None) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.BatchNorm1d(after), nn.ReLU()]
        layers += [] if dropout is None else [nn.Dropout(dropout)]
    return nn.Sequential(*layers)
