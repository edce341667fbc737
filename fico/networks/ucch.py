"""UCCH: two multi-layer perceptrons that hash image and text features into one Hamming space."""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fico.networks.blocks.l2_norm import unit_along_axis_1
from fico.networks.blocks.sign import sign_codes
from fico.networks.checkpoint_io.load import load_strictly, read_checkpoint
from fico.networks.checkpoint_io.options import check_bits


class CodePerceptron(nn.Module):
    """Multi-layer perceptron with ReLU, then tanh and L2 normalisation: features to continuous codes.

    Args:
        input_dim: Width of the features.
        bits: Length of the code.
        layers: Number of linear layers, at least 1.
        hidden_dim: Width after the first layer.
        inner_dim: Width after each further layer but the last.
    """

    def __init__(self, input_dim: int, bits: int, layers: int, hidden_dim: int, inner_dim: int) -> None:
        super().__init__()
        if layers < 1:
            raise ValueError(f"layers must be at least 1, got {layers}")
        widths = [input_dim, *([hidden_dim] + [inner_dim] * (layers - 2) if layers > 1 else []), bits]
        modules: list[nn.Module] = []
        for before, after in pairwise(widths):
            modules += [nn.Linear(before, after), nn.ReLU()]
        self.fc = nn.Sequential(*modules[:-1])

    def forward(self, features: Float[Tensor, "items dim"]) -> Float[Tensor, "items bits"]:
        """Continuous codes of unit length; entries are of the order ``1 / sqrt(bits)``."""
        return unit_along_axis_1(torch.tanh(self.fc(features)))


class UCCH(nn.Module):
    """Unsupervised contrastive cross-modal hashing: an image and a text perceptron, joined by the loss only.

    Args:
        image_dim: Width of the image features; 4096 for VGG-19.
        text_dim: Width of the text features; 300 for Doc2Vec.
        bits: Length of the code.
        image_layers: Linear layers of the image perceptron.
        text_layers: Linear layers of the text perceptron.
        hidden_dim: Width after the first layer.
        inner_dim: Width after the further hidden layers; ``hidden_dim`` when not given.

    Source:
        Hu et al., TPAMI 45(3) 2023, and the authors' public code (``ImageNet`` and ``TextNet``), whose
        parameter names are kept.

    Differs:
        The variant on raw images (a VGG-11 trunk in front of the image perceptron) is left out.
    """

    def __init__(
        self,
        image_dim: int,
        text_dim: int,
        bits: int = 64,
        image_layers: int = 3,
        text_layers: int = 2,
        hidden_dim: int = 8192,
        inner_dim: int | None = None,
    ) -> None:
        super().__init__()
        inner = hidden_dim if inner_dim is None else inner_dim
        self.bits = bits
        self.image_model = CodePerceptron(image_dim, bits, image_layers, hidden_dim, inner)
        self.text_model = CodePerceptron(text_dim, bits, text_layers, hidden_dim, inner)

    def forward(
        self, images: Float[Tensor, "pairs image_dim"], texts: Float[Tensor, "pairs text_dim"]
    ) -> tuple[Float[Tensor, "pairs bits"], Float[Tensor, "pairs bits"]]:
        """Continuous codes of both sides, as the losses take them."""
        return self.image_model(images), self.text_model(texts)

    def encode_images(self, images: Float[Tensor, "images image_dim"]) -> Float[Tensor, "images bits"]:
        """Codes of +1 and -1."""
        return sign_codes(self.image_model(images))

    def encode_texts(
        self, texts: Float[Tensor, "texts text_dim"], lengths: Tensor | None = None
    ) -> Float[Tensor, "texts bits"]:
        """Codes of +1 and -1. Text features have no length: ``lengths`` is not used."""
        return sign_codes(self.text_model(texts))

    def load_released(self, path: Path | str) -> "UCCH":
        """Load the authors' checkpoint, or its two state dicts as safetensors under our names.

        Args:
            path: The file of the authors' training (``*_best_checkpoint.t7``: a dict with
                ``image_model_state_dict`` and ``text_model_state_dict``) or a ``.safetensors``.

        Returns:
            The network itself. The memory bank belongs to the loss and is in no released file.

        Raises:
            DataError: The file is missing, holds anything but finite weights, has another code length, or its
                names or shapes differ from this network's (the first of them are named).
        """
        state = self.remap_state_dict(read_checkpoint(path), path)
        check_bits(state, f"text_model.fc.{len(self.text_model.fc) - 1}.bias", self.bits, path)
        load_strictly(self, state, path)
        return self

    @staticmethod
    def remap_state_dict(checkpoint: Mapping[str, Any], path: Path | str) -> dict[str, Any]:
        """Map the authors' parameter names, as `read_checkpoint` gives them, to ours; ``path`` is for the messages."""
        if "image_model_state_dict" not in checkpoint:
            return dict(checkpoint)
        return {
            f"{side}.{name}": value
            for side in ("image_model", "text_model")
            for name, value in checkpoint.get(f"{side}_state_dict", {}).items()
        }
