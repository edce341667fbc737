"""Region and word encoders of the cross-attention models: one vector per region, one per word."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from fico.errors import DataError
from fico.networks.blocks.l2_norm import unit_vectors
from fico.networks.blocks.region_scale import RegionScale
from fico.networks.checkpoint_io.load import load_strictly
from fico.networks.checkpoint_io.options import check_gru_layers, check_vocabulary, check_weight_norm

MARKERS = 2  # start and end, which every caption has


class ScalarGainLinear(nn.Module):
    """Linear layer with weight normalisation over the whole matrix: one learnt gain, ``g v / |v|``."""

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__()
        start = nn.Linear(in_dim, out_dim)
        self.bias = nn.Parameter(start.bias.detach())
        self.weight_g = nn.Parameter(start.weight.detach().norm())
        self.weight_v = nn.Parameter(start.weight.detach())

    def forward(self, values: Float[Tensor, "*items in_dim"]) -> Float[Tensor, "*items out_dim"]:
        """Linear map by ``g v / |v|``."""
        return nn.functional.linear(values, self.weight_v * (self.weight_g / self.weight_v.norm()), self.bias)


class RegionEncoder(nn.Module):
    """Linear projection of region features, L2-normalised per region.

    Args:
        image_dim: Width of the region features.
        embed_dim: Width of the vectors.
        weight_norm: Weight normalisation of the projection, with one gain for the whole matrix.
        normalise: Give each vector unit length.
        standardise: A `RegionScale` before the projection.
    """

    def __init__(
        self,
        image_dim: int,
        embed_dim: int,
        weight_norm: bool = False,
        normalise: bool = True,
        standardise: bool = False,
    ) -> None:
        super().__init__()
        self.normalise = normalise
        self.scale = RegionScale(image_dim) if standardise else nn.Identity()
        self.fc: nn.Module
        if weight_norm:
            self.fc = ScalarGainLinear(image_dim, embed_dim)
        else:
            self.fc = nn.Linear(image_dim, embed_dim)
            bound = math.sqrt(6 / (image_dim + embed_dim))
            nn.init.uniform_(self.fc.weight, -bound, bound)
            nn.init.zeros_(self.fc.bias)

    def forward(self, images: Float[Tensor, "images regions image_dim"]) -> Float[Tensor, "images regions dim"]:
        """One vector per region."""
        vectors: Tensor = self.fc(self.scale(images))
        return unit_vectors(vectors) if self.normalise else vectors


class WordEncoder(nn.Module):
    """Word embedding and a GRU: one contextual vector per word, L2-normalised.

    Args:
        vocab_size: Number of words, the four markers counted.
        word_dim: Width of the word embedding.
        embed_dim: Width of the vectors.
        bidirectional: Mean of a forward and a backward GRU; the latter starts at the last real word.
        num_layers: Layers of the GRU.
        normalise: Give each vector unit length.
    """

    def __init__(
        self,
        vocab_size: int,
        word_dim: int,
        embed_dim: int,
        bidirectional: bool = True,
        num_layers: int = 1,
        normalise: bool = True,
    ) -> None:
        super().__init__()
        self.normalise = normalise
        self.embed = nn.Embedding(vocab_size, word_dim)
        nn.init.uniform_(self.embed.weight, -0.1, 0.1)
        self.rnn = nn.GRU(word_dim, embed_dim, num_layers, batch_first=True, bidirectional=bidirectional)

    def forward(
        self, texts: Int64[Tensor, "texts words"], lengths: Int64[Tensor, " texts"] | None = None
    ) -> Float[Tensor, "texts words dim"]:
        """Encode captions in any order.

        Args:
            texts: Word ids with start and end marker, padded.
            lengths: Words per caption, both markers counted; the words above 0 when not given.

        Returns:
            One vector per word; zeros after the end of a caption.
        """
        lengths = (texts > 0).sum(dim=1) if lengths is None else lengths
        packed = pack_padded_sequence(self.embed(texts), lengths.cpu(), batch_first=True, enforce_sorted=False)
        states, _ = pad_packed_sequence(self.rnn(packed)[0], batch_first=True, total_length=texts.shape[1])
        if self.rnn.bidirectional:
            forward, backward = states.chunk(2, dim=2)
            states = (forward + backward) / 2
        return unit_vectors(states) if self.normalise else states


class RegionWordNetwork(nn.Module):
    """The encoders of a pair scorer with cross-attention between regions and words, under the authors' names.

    Args:
        regions: Image encoder.
        words: Text encoder.
    """

    def __init__(self, regions: RegionEncoder, words: WordEncoder) -> None:
        super().__init__()
        self.img_enc = regions
        self.txt_enc = words

    def encode_images(self, images: Float[Tensor, "images regions image_dim"]) -> Float[Tensor, "images regions dim"]:
        """One vector per region."""
        vectors: Tensor = self.img_enc(images)
        return vectors

    def encode_texts(
        self, texts: Int64[Tensor, "texts words"], lengths: Int64[Tensor, " texts"] | None = None
    ) -> Float[Tensor, "texts words dim"]:
        """One vector per word, zeros after the end of a caption; arguments as for `WordEncoder`."""
        vectors: Tensor = self.txt_enc(texts, lengths)
        return vectors

    def load_checked(self, state: Mapping[str, Any], path: Path | str) -> None:
        """Load a state dict after its options were compared with those of the encoders.

        Raises:
            DataError: It is of another vocabulary or of other options, or does not fit; see `load_strictly`.
        """
        check_vocabulary(state, len(self.txt_enc.embed.weight), path)
        check_gru_layers(state, self.txt_enc.rnn, path)
        check_weight_norm(state, self, path)
        load_strictly(self, state, path)


def lists_as_contexts(
    images: Float[Tensor, "images regions dim"], texts: Float[Tensor, "images texts words dim"]
) -> tuple[Float[Tensor, "pairs one regions dim"], Float[Tensor, "pairs words dim"]]:
    """Pairs of images and the captions of their lists, as queries and contexts of the attention of regions to words."""
    regions = images[:, None, None].expand(-1, texts.shape[1], -1, -1, -1).flatten(0, 1)
    return regions, texts.flatten(0, 1)


def refuse_empty_captions(lengths: Int64[Tensor, " texts"], text_ids: Int64[Tensor, " texts"]) -> None:
    """Check that every caption has a word: the score of markers alone means nothing.

    Args:
        lengths: Words per caption, both markers counted.
        text_ids: Rows of the captions in their split, for the message.

    Raises:
        DataError: A caption has no word; the first is named.
    """
    empty = lengths <= MARKERS
    if bool(empty.any()):
        row = int(text_ids[empty][0])
        raise DataError(
            f"caption {row} of the split (counted from 0) has no word, and with attention over words it cannot be "
            "scored; leave it out of the data set"
        )
