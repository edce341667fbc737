"""X-VLM: a Swin image encoder, a BERT text encoder, and a fusion encoder with cross-attention to the image."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from fico.networks.blocks.attention import word_mask
from fico.networks.blocks.fusion import FusionLayer, head_logits, match_head, unexpanded
from fico.networks.checkpoint_io.load import load_strictly, read_checkpoint
from fico.networks.checkpoint_io.resize import resize_bias_table
from fico.networks.checkpoint_io.xvlm_names import remap_state_dict
from fico.util.optional import requires_extra

log = logging.getLogger(__name__)
_INITIAL_TEMP = 0.07
_BIAS_TABLE = "relative_position_bias_table"


class XVLM(nn.Module):
    """X-VLM for retrieval: one vector per image and per text, and a fusion encoder with an image-text matching head.

    Args:
        vocab_size: Word pieces, the markers counted.
        image_size: Side of the images in pixels.
        patch_size: Side of a patch in pixels.
        window: Side of an attention window, in patches.
        vision_dim: Width of the first stage; each further stage is twice as wide and has a quarter of the tokens.
        vision_depths: Blocks of each stage.
        vision_heads: Attention heads of each stage.
        drop_path: Stochastic depth of the last vision block, 0..1; it grows linearly from 0 at the first.
        dim: Width of text and fusion layers.
        heads: Their attention heads.
        layers: Layers of the text encoder.
        fusion_layers: Layers of the fusion encoder.
        inner_dim: Width inside their perceptrons.
        positions: Longest text, in word pieces.
        embed_dim: Width of the vectors.
        dropout: In text and fusion layers, 0..1.

    Source:
        Zeng, Zhang, Li: ICML 2022, arXiv 2111.08276, and the authors' public code. The Swin transformer and the text
        half of BERT are those of transformers.
    """

    def __init__(
        self,
        vocab_size: int,
        image_size: int = 384,
        patch_size: int = 4,
        window: int = 12,
        vision_dim: int = 128,
        vision_depths: Sequence[int] = (2, 2, 18, 2),
        vision_heads: Sequence[int] = (4, 8, 16, 32),
        drop_path: float = 0.1,
        dim: int = 768,
        heads: int = 12,
        layers: int = 6,
        fusion_layers: int = 6,
        inner_dim: int = 3072,
        positions: int = 512,
        embed_dim: int = 256,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        with requires_extra("models"):
            from transformers import BertConfig, BertModel, SwinConfig, SwinModel  # seconds to import

        vision = SwinConfig(
            image_size=image_size,
            patch_size=patch_size,
            window_size=window,
            embed_dim=vision_dim,
            depths=list(vision_depths),
            num_heads=list(vision_heads),
            drop_path_rate=drop_path,
            layer_norm_eps=1e-5,
        )
        text = BertConfig(
            vocab_size=vocab_size,
            hidden_size=dim,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            intermediate_size=inner_dim,
            max_position_embeddings=positions,
            hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=dropout,
        )
        image_token_dim = vision_dim * 2 ** (len(vision_depths) - 1)
        self.vision = SwinModel(vision, add_pooling_layer=False)
        self.text = BertModel(text, add_pooling_layer=False)
        self.fusion = nn.ModuleList(
            FusionLayer(dim, heads, inner_dim, image_token_dim, dropout) for _ in range(fusion_layers)
        )
        self.vision_proj = nn.Linear(image_token_dim, embed_dim)
        self.text_proj = nn.Linear(dim, embed_dim)
        self.itm_head = match_head(dim)
        self.temp = nn.Parameter(torch.tensor(_INITIAL_TEMP))
        self.fusion.apply(_initialise)
        self.itm_head.apply(_initialise)

    def image_states(self, images: Float[Tensor, "images rgb side side"]) -> Float[Tensor, "images tokens wide"]:
        """Image tokens, with their mean in front as the token of the whole image."""
        tokens: Tensor = self.vision(pixel_values=images).last_hidden_state
        return torch.cat([tokens.mean(dim=1, keepdim=True), tokens], dim=1)

    def text_states(
        self, texts: Int64[Tensor, "texts words"], lengths: Int64[Tensor, " texts"] | None = None
    ) -> Float[Tensor, "texts words dim"]:
        """States of the text encoder; those of the padding mean nothing."""
        mask = word_mask(texts.shape[1], lengths)
        states: Tensor = self.text(input_ids=texts, attention_mask=None if mask is None else mask.long())[0]
        return states

    def image_embeddings(self, states: Float[Tensor, "images tokens wide"]) -> Float[Tensor, "images embedding"]:
        """Unit vectors, from `image_states`."""
        return F.normalize(self.vision_proj(states[:, 0]).float(), dim=1)

    def text_embeddings(self, states: Float[Tensor, "texts words dim"]) -> Float[Tensor, "texts embedding"]:
        """Unit vectors, from `text_states`."""
        return F.normalize(self.text_proj(states[:, 0]).float(), dim=1)

    def encode_images(self, images: Float[Tensor, "images rgb side side"]) -> Float[Tensor, "images embedding"]:
        """Unit vectors of normalised pixels."""
        return self.image_embeddings(self.image_states(images))

    def encode_texts(
        self, texts: Int64[Tensor, "texts words"], lengths: Int64[Tensor, " texts"] | None = None
    ) -> Float[Tensor, "texts embedding"]:
        """Unit vectors of word pieces; ``lengths`` count the marker in front."""
        return self.text_embeddings(self.text_states(texts, lengths))

    def fuse(
        self,
        image_states: Float[Tensor, "pairs tokens wide"],
        text_states: Float[Tensor, "pairs words dim"],
        lengths: Int64[Tensor, " pairs"] | None = None,
    ) -> Float[Tensor, "pairs words dim"]:
        """Word states of the fusion encoder, with cross-attention to the image of their row."""
        tokens = unexpanded(image_states)
        return self._fused((layer.image_keys(tokens) for layer in self._fusion_layers), text_states, lengths)

    @property
    def _fusion_layers(self) -> Iterable[FusionLayer]:
        return cast(Iterable[FusionLayer], self.fusion)

    def _fused(self, image_keys: Iterable[Tensor], text_states: Tensor, lengths: Tensor | None) -> Tensor:
        is_word = word_mask(text_states.shape[1], lengths)
        for layer, keys in zip(self._fusion_layers, image_keys, strict=True):
            text_states = layer(text_states, keys, is_word)
        return text_states

    def image_keys(
        self, image_states: Float[Tensor, "images tokens wide"]
    ) -> Float[Tensor, "images layers two heads tokens part"]:
        """Keys and values of each image in every fusion layer: all that `match_lists` needs of it."""
        return torch.stack([layer.image_keys(image_states) for layer in self._fusion_layers], dim=1)

    def match_lists(
        self,
        image_keys: Float[Tensor, "images layers two heads tokens part"],
        text_states: Float[Tensor, "images texts words dim"],
        lengths: Int64[Tensor, "images texts"] | None = None,
    ) -> Float[Tensor, "images texts"]:
        """`match` of each image with the texts of its own list, from `image_keys` and `match_texts`."""
        flat = None if lengths is None else lengths.flatten()
        fused = self._fused(image_keys.unbind(dim=1), text_states.flatten(0, 1), flat)
        return head_logits(self.itm_head, fused[:, 0])[:, 1].view(text_states.shape[:2])

    def match_logits(
        self,
        image_states: Float[Tensor, "pairs tokens wide"],
        text_states: Float[Tensor, "pairs words dim"],
        lengths: Int64[Tensor, " pairs"] | None = None,
    ) -> Float[Tensor, "pairs 2"]:
        """Logits of no match and of a match, for each row."""
        return head_logits(self.itm_head, self.fuse(image_states, text_states, lengths)[:, 0])

    def match_texts(
        self, texts: Int64[Tensor, "texts words"], lengths: Int64[Tensor, " texts"] | None = None
    ) -> Float[Tensor, "texts words dim"]:
        """What `match` takes of texts: the states of the text encoder."""
        return self.text_states(texts, lengths)

    def match(
        self,
        image_states: Float[Tensor, "pairs tokens wide"],
        text_states: Float[Tensor, "pairs words dim"],
        lengths: Int64[Tensor, " pairs"] | None = None,
    ) -> Float[Tensor, " pairs"]:
        """Matching logit of each text and the image of its row, any real number; higher is nearer."""
        return self.match_logits(image_states, text_states, lengths)[:, 1]

    def load_released(self, path: Path) -> "XVLM":
        """Load the authors' checkpoint: fine-tuned, or pre-trained at another resolution.

        Bias tables of another window are resized; parameters of pre-training heads are left out and logged.

        Raises:
            DataError: The file is missing or damaged, or names or sizes differ; the first are named.
        """
        state = self.remap_state_dict(read_checkpoint(path), path)
        expected = self.state_dict()
        for name, value in state.items():
            if name.endswith(_BIAS_TABLE) and name in expected and value.shape[1:] == expected[name].shape[1:]:
                state[name] = resize_bias_table(value, len(expected[name]))
        load_strictly(self, state, path)
        return self

    @staticmethod
    def remap_state_dict(checkpoint: Mapping[str, Any], path: Path | str) -> dict[str, Any]:
        """Map the authors' parameter names to ours; see `fico.networks.checkpoint_io.xvlm_names`.

        Raises:
            DataError: ``model`` is not a dict of weights.
        """
        return remap_state_dict(checkpoint, path)


def _initialise(module: nn.Module) -> None:
    """Initial weights of our own layers, as those of transformers' BERT."""
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
