"""VSRN: graph reasoning over regions and a GRU that reads them; a GRU over words."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from fico.errors import DataError
from fico.networks.blocks.l2_norm import unit_along_axis_1
from fico.networks.blocks.region_scale import RegionScale
from fico.networks.checkpoint_io.load import join_encoders, load_strictly, read_checkpoint
from fico.networks.checkpoint_io.options import check_gru_layers, check_option, check_vocabulary


class RegionMap(nn.Conv1d):
    """A convolution of width 1, stored as the authors store it and computed as the linear map it is.

    The convolution wants channels before regions; on a CPU the linear map takes half the time.
    """

    def __init__(self, dim: int) -> None:
        super().__init__(dim, dim, 1)

    def forward(self, regions: Float[Tensor, "images regions dim"]) -> Float[Tensor, "images regions dim"]:
        """The same linear map for every region."""
        return nn.functional.linear(regions, self.weight.squeeze(2), self.bias)


class RegionNorm(nn.BatchNorm1d):
    """BatchNorm per channel over batch and regions. Weight and bias are initialised to 0."""

    def __init__(self, dim: int) -> None:
        super().__init__(dim)
        nn.init.zeros_(self.weight)

    def forward(self, regions: Float[Tensor, "images regions dim"]) -> Float[Tensor, "images regions dim"]:
        """Normalise over the first two axes."""
        normalised = super().forward(regions.flatten(0, 1))
        return normalised.reshape(regions.shape)


class RegionGraph(nn.Module):
    """Residual graph convolution over the regions of an image, with learnt affinities.

    ``R[i, j] = theta_i . phi_j / regions`` (no softmax), ``y_i = sum_j R[i, j] g_j``, output
    ``BatchNorm(W y) + input``. As the BatchNorm is initialised to 0, so is the residual branch.

    Differs:
        In training on more regions than channels, ``theta`` and ``phi`` are multiplied into one linear map, and so are
        ``g`` and ``W``: two maps of all regions in place of four, the same values but for rounding.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.g = RegionMap(dim)
        self.W = nn.Sequential(RegionMap(dim), RegionNorm(dim))
        self.theta = RegionMap(dim)
        self.phi = RegionMap(dim)

    def forward(self, regions: Float[Tensor, "images regions dim"]) -> Float[Tensor, "images regions dim"]:
        """Region features plus the messages of all regions of the image."""
        if self.training and regions.shape[0] * regions.shape[1] > regions.shape[2]:
            return self._merged_message(regions) + regions
        affinity = self.theta(regions) @ self.phi(regions).transpose(1, 2) / regions.shape[1]
        message: Tensor = self.W(affinity @ self.g(regions))
        return message + regions

    def _merged_message(self, regions: Float[Tensor, "images regions dim"]) -> Float[Tensor, "images regions dim"]:
        theta, phi, g = (part.weight.squeeze(2) for part in (self.theta, self.phi, self.g))
        w, bias = self.W.get_parameter("0.weight").squeeze(2), self.W.get_parameter("0.bias")
        theta_bias, phi_bias, g_bias = (part.get_parameter("bias") for part in (self.theta, self.phi, self.g))
        queries = nn.functional.linear(regions, phi.T @ theta, theta_bias @ phi)
        shift = nn.functional.linear(regions, (phi_bias @ theta).unsqueeze(0), theta_bias @ phi_bias)
        affinity = (queries @ regions.transpose(1, 2) + shift) / regions.shape[1]
        values = nn.functional.linear(regions, w @ g, w @ g_bias)
        message: Tensor = self.W[1](affinity @ values + bias)
        return message


class ImageEncoder(nn.Module):
    """Region features to one vector per image: projection, graph convolutions, GRU; arguments as in `VSRN`."""

    def __init__(
        self,
        image_dim: int,
        embed_dim: int,
        normalise_regions: bool,
        final_batch_norm: bool,
        graph_layers: int,
        normalise: bool,
        use_abs: bool,
        standardise: bool,
    ) -> None:
        super().__init__()
        self.normalise_regions, self.normalise, self.use_abs = normalise_regions, normalise, use_abs
        self.scale = RegionScale(image_dim) if standardise else nn.Identity()
        self.fc = nn.Linear(image_dim, embed_dim)
        nn.init.xavier_uniform_(self.fc.weight)
        nn.init.zeros_(self.fc.bias)
        self.img_rnn = nn.GRU(embed_dim, embed_dim, batch_first=True)
        self.graph_layers = graph_layers
        for number in range(1, graph_layers + 1):  # the authors' names
            self.add_module(f"Rs_GCN_{number}", RegionGraph(embed_dim))
        self.bn = nn.BatchNorm1d(embed_dim) if final_batch_norm else nn.Identity()

    def forward(
        self, regions: Float[Tensor, "images regions image_dim"]
    ) -> tuple[Float[Tensor, "images dim"], Float[Tensor, "images regions dim"]]:
        """The image vector, and the regions after the graph convolutions, which the captioner attends to."""
        values = self.fc(self.scale(regions))
        if self.normalise_regions:
            values = unit_along_axis_1(values)
        for number in range(1, self.graph_layers + 1):
            values = self.get_submodule(f"Rs_GCN_{number}")(values)
        reasoned = unit_along_axis_1(values)
        _, last = self.img_rnn(reasoned)
        vectors = self.bn(last[0])
        vectors = unit_along_axis_1(vectors) if self.normalise else vectors
        return vectors.abs() if self.use_abs else vectors, reasoned


class TextEncoder(nn.Module):
    """Word ids to one unit vector per caption: the state of a GRU at the last real word, the end marker."""

    def __init__(self, vocab_size: int, word_dim: int, embed_dim: int, num_layers: int, use_abs: bool) -> None:
        super().__init__()
        self.use_abs = use_abs
        self.embed = nn.Embedding(vocab_size, word_dim)
        nn.init.uniform_(self.embed.weight, -0.1, 0.1)
        self.rnn = nn.GRU(word_dim, embed_dim, num_layers, batch_first=True)

    def forward(
        self, texts: Int64[Tensor, "texts words"], lengths: Int64[Tensor, " texts"]
    ) -> Float[Tensor, "texts dim"]:
        """Captions in any order; padding has no influence."""
        states, _ = self.rnn(self.embed(texts))
        vectors = unit_along_axis_1(states[torch.arange(len(texts), device=texts.device), lengths - 1])
        return vectors.abs() if self.use_abs else vectors


class VSRN(nn.Module):
    """Visual semantic reasoning network: both sides in one space of unit vectors, compared by inner product.

    Args:
        image_dim: Width of the region features; 2048 for bottom-up attention. Their order matters.
        vocab_size: Number of words, the four markers counted.
        embed_dim: Width of the joint space.
        word_dim: Width of the word embedding.
        normalise_regions: Normalise every channel over the regions before the graph convolutions: the COCO branch.
        final_batch_norm: BatchNorm on the image vector: the Flickr30K branch.
        graph_layers: Graph convolutions over the regions; 4 in all published models.
        num_layers: Layers of the GRU over the words; all published models have one.
        normalise_images: L2-normalise the image vectors; off is the original's ``no_imgnorm``.
        use_abs: Absolute value of both vectors, the original's option of that name, for order embeddings.
        standardise_images: Shift and scale each value of a region by the statistics of the training regions, which
            `fico.features.warm_start.CCAStart` sets; off in all published models.

    Source:
        Li et al., ICCV 2019, arXiv 1909.02701, and the authors' public code (``EncoderImagePrecompAttn``,
        ``EncoderText``), whose parameter names are kept.
    """

    def __init__(
        self,
        image_dim: int,
        vocab_size: int,
        embed_dim: int = 2048,
        word_dim: int = 300,
        normalise_regions: bool = True,
        final_batch_norm: bool = False,
        graph_layers: int = 4,
        num_layers: int = 1,
        normalise_images: bool = True,
        use_abs: bool = False,
        standardise_images: bool = False,
    ) -> None:
        super().__init__()
        self.img_enc = ImageEncoder(
            image_dim,
            embed_dim,
            normalise_regions,
            final_batch_norm,
            graph_layers,
            normalise_images,
            use_abs,
            standardise_images,
        )
        self.txt_enc = TextEncoder(vocab_size, word_dim, embed_dim, num_layers, use_abs)

    def forward(
        self, images: Float[Tensor, "images regions image_dim"]
    ) -> tuple[Float[Tensor, "images dim"], Float[Tensor, "images regions dim"]]:
        """Image vectors, and the regions after the graph convolutions for the captioner."""
        vectors, regions = self.img_enc(images)
        return vectors, regions

    def encode_images(self, images: Float[Tensor, "images regions image_dim"]) -> Float[Tensor, "images dim"]:
        """Image vectors of unit length."""
        vectors, _ = self.forward(images)
        return vectors

    def encode_texts(
        self, texts: Int64[Tensor, "texts words"], lengths: Int64[Tensor, " texts"] | None = None
    ) -> Float[Tensor, "texts dim"]:
        """Caption vectors of unit length.

        Args:
            texts: Word ids with start and end marker, padded with 0.
            lengths: Words per caption, both markers counted; the words above 0 when not given.
        """
        return self.txt_enc.forward(texts, (texts > 0).sum(dim=1) if lengths is None else lengths)

    def load_released(self, path: Path | str) -> "VSRN":
        """Load the authors' checkpoint, or the same tensors as safetensors under our names.

        Args:
            path: The authors' ``model_best.pth.tar`` (a dict whose ``model`` lists the state dicts of the
                image and the text encoder, perhaps with ``module.`` before the names), or a ``.safetensors``.
                A missing ``num_batches_tracked`` is accepted: libraries before 0.4.1 did not write it.

        Returns:
            The network itself. The captioner is in no released file.

        Raises:
            DataError: The file is missing, holds anything but finite weights, belongs to another vocabulary, branch
                or number of layers (both values are named), or its names or shapes differ from this network's (the
                first are named).
        """
        state = self.remap_state_dict(read_checkpoint(path), path)
        check_vocabulary(state, len(self.txt_enc.embed.weight), path)
        self._check_branch(state, path)
        self._check_layers(state, path)
        counters = {k: v for k, v in self.state_dict().items() if k.endswith("num_batches_tracked")}
        load_strictly(self, counters | state, path)
        return self

    @staticmethod
    def remap_state_dict(checkpoint: Mapping[str, Any], path: Path | str) -> dict[str, Any]:
        """Map the authors' parameter names, as `read_checkpoint` gives them, to ours; ``path`` is for the messages."""
        return {k: v for k, v in join_encoders(checkpoint, path).items() if k.split(".")[0] != "caption_model"}

    def _check_branch(self, state: Mapping[str, Any], path: Path | str) -> None:
        words, norm = "txt_enc.embed.weight", "img_enc.bn.weight"
        if words in state and (norm in state) != (norm in self.state_dict()):
            branch, setting = ("Flickr30K", "false") if norm in state else ("COCO", "true")
            raise DataError(
                f"{path} belongs to the {branch} branch, as it has {'a' if norm in state else 'no'} {norm}; "
                f"set normalise_regions to {setting} and final_batch_norm to {str(norm in state).lower()}"
            )

    def _check_layers(self, state: Mapping[str, Any], path: Path | str) -> None:
        check_gru_layers(state, self.txt_enc.rnn, path)
        graphs = {name.split(".")[1] for name in state if name.startswith("img_enc.Rs_GCN_")}
        if graphs:
            check_option("graph_layers", len(graphs), self.img_enc.graph_layers, path)
