"""MITH: hash codes from a global vector and from concept tokens of each side."""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from fico.networks.blocks.attention import word_mask
from fico.networks.blocks.concepts import ConceptMLP, ConceptTransformer, aggregate_tokens
from fico.networks.blocks.region_words import RegionEncoder, WordEncoder
from fico.networks.blocks.sign import sign_codes
from fico.networks.checkpoint_io.load import load_strictly, read_checkpoint
from fico.networks.checkpoint_io.options import check_bits


@dataclass(frozen=True, slots=True, eq=False)
class Granularities:
    """One side of a batch at both granularities.

    Args:
        global_codes: Continuous codes of the global vectors, in -1..1.
        local_codes: Continuous codes of the concept tokens, in -1..1.
        vectors: Global vectors of unit length.
        concepts: Concept tokens of unit length.
    """

    global_codes: Float[Tensor, "items bits"]
    local_codes: Float[Tensor, "items bits"]
    vectors: Float[Tensor, "items dim"]
    concepts: Float[Tensor, "items bits dim"]


class MITH(nn.Module):
    """Multi-granularity interactive transformer hashing on region features and words.

    Args:
        image_dim: Width of the region features.
        vocab_size: Number of words, the four markers counted.
        bits: Length of the code, which is the number of concepts.
        embed_dim: Width of the tokens, even, a multiple of ``heads``; that of CLIP ViT-B/32 is 512.
        word_dim: Width of the word embedding.
        top_k: Concepts that a token chooses at most.
        mlp_layers: Residual perceptrons of the global branch, which both sides share.
        layers: Transformer layers of each side's local branch.
        heads: Their attention heads.
        standardise_images: Shift and scale each value of a region by the statistics of the training regions, which
            `fico.features.warm_start.CCAStart` sets.

    Source:
        Liu et al., ACM MM 2023, doi 10.1145/3581783.3612411. Both branches follow the equations of the authors' public
        code; nothing was compared with its numbers.

    Differs:
        The towers: the authors fine-tune CLIP ViT-B/32 and take its class token, end token and patch or word tokens.
        Here tokens are a linear map of region features and the states of a GRU over the words, each with a layer
        normalisation, and the global vector is their mean; this is our choice. A bit of 0 becomes +1 (`sign_codes`).
    """

    def __init__(
        self,
        image_dim: int,
        vocab_size: int,
        bits: int = 64,
        embed_dim: int = 512,
        word_dim: int = 300,
        top_k: int = 8,
        mlp_layers: int = 2,
        layers: int = 2,
        heads: int = 8,
        standardise_images: bool = False,
    ) -> None:
        super().__init__()
        self.bits, self.top_k = bits, top_k
        self.img_enc = RegionEncoder(image_dim, embed_dim, normalise=False, standardise=standardise_images)
        self.txt_enc = WordEncoder(vocab_size, word_dim, embed_dim, normalise=False)
        self.image_norm, self.text_norm = nn.LayerNorm(embed_dim), nn.LayerNorm(embed_dim)
        self.global_concepts = ConceptMLP(embed_dim, bits, mlp_layers)
        self.image_concepts = ConceptTransformer(embed_dim, bits, layers, heads)
        self.text_concepts = ConceptTransformer(embed_dim, bits, layers, heads)
        self.image_projection, self.text_projection = nn.Linear(embed_dim, embed_dim), nn.Linear(embed_dim, embed_dim)

    def forward(
        self,
        images: Float[Tensor, "pairs regions image_dim"],
        texts: Int64[Tensor, "pairs words"],
        lengths: Int64[Tensor, " pairs"] | None = None,
    ) -> tuple[Granularities, Granularities]:
        """Both sides as the losses take them; arguments as for the encoders."""
        regions, words = self._regions(images), self._words(texts, lengths)
        return (
            self._both(regions, None, self.image_concepts, self.image_projection),
            self._both(words, word_mask(texts.shape[1], lengths), self.text_concepts, self.text_projection),
        )

    def encode_images(self, images: Float[Tensor, "images regions image_dim"]) -> Float[Tensor, "images bits"]:
        """Codes of +1 and -1: the signs of the sum over both granularities."""
        found = self._both(self._regions(images), None, self.image_concepts, self.image_projection)
        return sign_codes(found.global_codes + found.local_codes)

    def encode_texts(
        self, texts: Int64[Tensor, "texts words"], lengths: Int64[Tensor, " texts"] | None = None
    ) -> Float[Tensor, "texts bits"]:
        """Codes of +1 and -1; arguments as for `WordEncoder`."""
        mask = word_mask(texts.shape[1], lengths)
        found = self._both(self._words(texts, lengths), mask, self.text_concepts, self.text_projection)
        return sign_codes(found.global_codes + found.local_codes)

    def load_released(self, path: Path | str) -> "MITH":
        """Load a ``.safetensors`` under our names; the authors released no weights on such towers.

        Returns:
            The network itself.

        Raises:
            DataError: The file is missing, damaged, of another code length, or its names or shapes differ from this
                network's.
        """
        state = read_checkpoint(path)
        check_bits(state, "image_concepts.bias", self.bits, path)
        load_strictly(self, state, path)
        return self

    def _regions(self, images: Tensor) -> Float[Tensor, "images regions dim"]:
        tokens: Tensor = self.image_norm(self.img_enc(images))
        return tokens

    def _words(self, texts: Tensor, lengths: Tensor | None) -> Float[Tensor, "texts words dim"]:
        tokens: Tensor = self.text_norm(self.txt_enc(texts, lengths))
        return tokens

    def _both(
        self,
        tokens: Float[Tensor, "items tokens dim"],
        mask: Bool[Tensor, "items tokens"] | None,
        transformer: ConceptTransformer,
        projection: nn.Linear,
    ) -> Granularities:
        vectors, global_codes = self.global_concepts(_mean_token(tokens, mask))
        with torch.no_grad():  # the tokens choose, and only their mean is trained
            scores = self.global_concepts(tokens)[1]
        states, local_codes = transformer(aggregate_tokens(tokens, scores, self.top_k, mask))
        concepts = F.normalize(projection(states), dim=2)
        return Granularities(global_codes, local_codes, F.normalize(vectors, dim=1), concepts)


def _mean_token(
    tokens: Float[Tensor, "items tokens dim"], mask: Bool[Tensor, "items tokens"] | None
) -> Float[Tensor, "items dim"]:
    if mask is None:
        return tokens.mean(dim=1)
    return tokens.masked_fill(~mask.unsqueeze(2), 0).sum(dim=1) / mask.sum(dim=1, keepdim=True)
