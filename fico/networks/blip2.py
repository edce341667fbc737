"""BLIP-2: an image transformer, and a second one that asks it with learnt queries and reads texts."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from fico.errors import DataError
from fico.networks.blip2_captions import CaptionHead, caption_mask
from fico.networks.blip2_config import FINAL_EPS, explicit_config, released_config
from fico.networks.blocks.attention import word_mask
from fico.networks.checkpoint_io.blip2_names import LIBRARY, resize_positions, under_our_names
from fico.networks.checkpoint_io.hub import read_folder, released_folder
from fico.networks.checkpoint_io.load import load_strictly, read_checkpoint
from fico.util.optional import requires_extra

log = logging.getLogger(__name__)
_POSITIONS = LIBRARY + "vision_model.embeddings.position_embedding"
_BLOCKS = LIBRARY + "vision_model.encoder.layers."
_TABLES = LIBRARY + "vision_model.embeddings."


class BLIP2(nn.Module):
    """BLIP-2 for retrieval: each image becomes one vector per query, each text one; and a head that reads both at once.

    Args:
        source: Folder of weights in the form of transformers, or a hub name: its config gives all sizes, and those
            below are not read. None or a weights file: the sizes below.
        vocab_size: Word pieces, the markers counted; the last starts a caption. Must be that of ``source`` too.
        image_size: Side of the images in pixels; where given, must be that of ``source`` too.
        patch_size: Side of a patch in pixels.
        vision_dim: Width of the image transformer; further ``vision_layers``, ``vision_heads``, ``vision_inner_dim``.
        vision_layers: Its blocks.
        vision_heads: Its attention heads.
        vision_inner_dim: Width inside its perceptrons.
        dim: Width of the transformer of queries and texts.
        layers: Its layers.
        heads: Its attention heads.
        inner_dim: Width inside its perceptrons.
        positions: Longest text, in word pieces.
        queries: Learnt queries, so many vectors an image has.
        embed_dim: Width of the vectors.
        cross_every: Every so many layers, from the first, the queries attend to the image.
        dropout: In the transformer of queries and texts, in training, 0..1.
        temp: Temperature at the start, which similarities are divided by in training; learnt.
        captions: Also hold the captioning head, for the third loss of the original; retrieval does not use it.

    Raises:
        DataError: ``source`` lacks files, or is another model.
        ValueError: Sizes do not fit, among themselves or with those of ``source``.

    Source:
        Li, Li, Savarese, Hoi: ICML 2023, arXiv 2301.12597. The parts are those of transformers'
        ``Blip2ForImageTextRetrieval``, put together here so that the image transformer runs once per image.

    Differs:
        From transformers: the last norm of the image transformer has the original's epsilon of 1e-5, and a model
        from scratch starts with weights that can be trained. From the original: keys of the image transformer have a
        bias, which starts at 0 and changes no attention.
    """

    def __init__(
        self,
        source: str | None = None,
        vocab_size: int | None = None,
        image_size: int | None = None,
        patch_size: int = 14,
        vision_dim: int = 1408,
        vision_layers: int = 39,
        vision_heads: int = 16,
        vision_inner_dim: int = 6144,
        dim: int = 768,
        layers: int = 12,
        heads: int = 12,
        inner_dim: int = 3072,
        positions: int = 512,
        queries: int = 32,
        embed_dim: int = 256,
        cross_every: int = 2,
        dropout: float = 0.1,
        temp: float = 0.07,
        captions: bool = False,
    ) -> None:
        super().__init__()
        with requires_extra("models"):
            from transformers import Blip2ForImageTextRetrieval  # seconds to import

        folder = released_folder(source) if source else None
        config: Any = (
            released_config(folder)
            if folder is not None
            else explicit_config(
                image_size=image_size or 364,
                patch_size=patch_size,
                vision_dim=vision_dim,
                vision_layers=vision_layers,
                vision_heads=vision_heads,
                vision_inner_dim=vision_inner_dim,
                vocab_size=vocab_size or 30523,
                dim=dim,
                layers=layers,
                heads=heads,
                inner_dim=inner_dim,
                positions=positions,
                queries=queries,
                embed_dim=embed_dim,
                cross_every=cross_every,
                dropout=dropout,
            )
        )
        self.image_size = int(config.vision_config.image_size)
        self.queries = int(config.num_query_tokens)
        _check_sizes(config, vocab_size, image_size)
        self.caption_start = (vocab_size or int(config.qformer_config.vocab_size)) - 1
        self.retrieval = Blip2ForImageTextRetrieval(config)
        self.retrieval.vision_model.post_layernorm.eps = FINAL_EPS
        nn.init.normal_(
            self.retrieval.query_tokens, std=self.retrieval.query_tokens.shape[-1] ** -0.5
        )  # the library's zeros make all queries the same
        self.temp = nn.Parameter(torch.tensor(temp))
        self.caption_head = CaptionHead(config.qformer_config) if captions else None

    def image_states(self, images: Float[Tensor, "images rgb side side"]) -> Float[Tensor, "images places width"]:
        """States of the image transformer, the class token's first; all that the other methods need of an image.

        Args:
            images: Normalised pixels.

        Raises:
            ValueError: The images have another side than the table of positions.
        """
        if images.shape[-1] != self.image_size:
            raise ValueError(f"the images have a side of {images.shape[-1]} pixels, the weights {self.image_size}")
        states: Tensor = self.retrieval.vision_model(pixel_values=images).last_hidden_state
        return states

    def query_states(self, image_states: Float[Tensor, "images places width"]) -> Float[Tensor, "images queries dim"]:
        """What the queries took from each image."""
        queries = self.retrieval.query_tokens.expand(len(image_states), -1, -1)
        states: Tensor = self.retrieval.qformer(query_embeds=queries, encoder_hidden_states=image_states)[0]
        return states

    def text_states(
        self, texts: Int64[Tensor, "texts words"], lengths: Int64[Tensor, " texts"] | None = None
    ) -> Float[Tensor, "texts words dim"]:
        """States of the word pieces of texts alone; those behind a text's end mean nothing."""
        words = self.retrieval.embeddings(input_ids=texts)
        mask = word_mask(texts.shape[1], lengths)
        states: Tensor = self.retrieval.qformer(query_embeds=words, query_length=0, attention_mask=mask)[0]
        return states

    def image_embeddings(
        self, image_states: Float[Tensor, "images places width"]
    ) -> Float[Tensor, "images queries embedding"]:
        """One unit vector per query, from `image_states`."""
        return _unit(self.retrieval.vision_projection(self.query_states(image_states)))

    def encode_images(self, images: Float[Tensor, "images rgb side side"]) -> Float[Tensor, "images queries embedding"]:
        """One unit vector per query."""
        return self.image_embeddings(self.image_states(images))

    def encode_texts(
        self, texts: Int64[Tensor, "texts words"], lengths: Int64[Tensor, " texts"] | None = None
    ) -> Float[Tensor, "texts embedding"]:
        """One unit vector per text.

        Args:
            texts: Word pieces with both markers, padded.
            lengths: Word pieces of each text, the markers counted; None: all are as long as ``texts`` is wide.
        """
        return _unit(self.retrieval.text_projection(self.text_states(texts, lengths)[:, 0]))

    def score(
        self,
        images: Float[Tensor, "images queries embedding"],
        texts: Float[Tensor, "texts embedding"],
        lengths: Int64[Tensor, " texts"] | None = None,
    ) -> Float[Tensor, "images texts"]:
        """Cosine of each text with the nearest vector of each image, -1..1; ``lengths`` are not needed."""
        return torch.einsum("iqd,td->iqt", images, texts).amax(dim=1)

    def match(
        self,
        image_states: Float[Tensor, "pairs places width"],
        texts: Int64[Tensor, "pairs words"],
        lengths: Int64[Tensor, " pairs"] | None = None,
    ) -> Float[Tensor, " pairs"]:
        """How surely each text describes the image of its row: the logit of a match, any real number.

        Args:
            image_states: Of `image_states`, one image per text.
            texts: Word pieces as for `encode_texts`; texts alone have no state that could be used again.
            lengths: As for `encode_texts`.
        """
        return self.match_logits(image_states, texts, lengths)[:, 1]

    def match_logits(
        self,
        image_states: Float[Tensor, "pairs places width"],
        texts: Int64[Tensor, "pairs words"],
        lengths: Int64[Tensor, " pairs"] | None = None,
    ) -> Float[Tensor, "pairs 2"]:
        """Logits of no match and of a match, the mean over the queries; arguments as of `match`."""
        mask = word_mask(texts.shape[1], lengths)
        if mask is not None:
            mask = torch.cat([mask.new_ones(len(mask), self.queries), mask], dim=1)
        states = self._joint_states(image_states, texts, mask)
        logits: Tensor = self.retrieval.itm_head(states[:, : self.queries]).mean(dim=1)
        return logits

    def caption_logits(
        self,
        image_states: Float[Tensor, "pairs places width"],
        texts: Int64[Tensor, "pairs words"],
        lengths: Int64[Tensor, " pairs"] | None = None,
    ) -> Float[Tensor, "pairs words vocabulary"]:
        """Logits of the word piece after each, given the image and the pieces so far; arguments as of `match`.

        Raises:
            ValueError: The network has no captioning head.
        """
        if self.caption_head is None:
            raise ValueError("this BLIP2 has no captioning head; build it with captions=True")
        started = texts.clone()
        started[:, 0] = self.caption_start
        states = self._joint_states(image_states, started, caption_mask(started, lengths, self.queries))
        logits: Tensor = self.caption_head(states[:, self.queries :], self.retrieval.embeddings.word_embeddings.weight)
        return logits

    def _joint_states(self, image_states: Tensor, texts: Tensor, mask: Tensor | None) -> Tensor:
        if len(texts) > 1 and image_states.stride(0) == 0:
            image_states = image_states[:1]  # all pairs share it: its keys and values are computed once
        queries = self.retrieval.query_tokens.expand(len(texts), -1, -1)
        together = self.retrieval.embeddings(input_ids=texts, query_embeds=queries)
        states: Tensor = self.retrieval.qformer(
            query_embeds=together,
            query_length=self.queries,
            attention_mask=mask,
            encoder_hidden_states=image_states,
        )[0]
        return states

    def layers_above(self, name: str) -> int:
        """Depth of a parameter for layer-wise decay: blocks of the image transformer from the top, then its tables."""
        blocks = len(self.retrieval.vision_model.encoder.layers)
        if name.startswith(_BLOCKS):
            return blocks - int(name.removeprefix(_BLOCKS).split(".")[0])
        return blocks + 1 if name.startswith(_TABLES) else 0

    def load_released(self, path: Path | str) -> "BLIP2":
        """Load released weights.

        Args:
            path: The authors' ``.pth``, a ``.safetensors`` under its or transformers' names, a folder in the form of
                transformers (``save_pretrained``), or a hub name. A table of image positions for another image size
                is resized.

        Returns:
            The network itself. Transformers' names bring no temperature: it stays.

        Raises:
            DataError: Files are missing, or names or shapes differ from this network's (the first are named).
        """
        folder = released_folder(path)
        checkpoint = read_checkpoint(path) if folder is None else read_folder(folder)
        state = self.by_our_names(checkpoint, path)
        state.setdefault("temp", self.temp.detach())
        if self.caption_head is None:
            state = {name: value for name, value in state.items() if not name.startswith("caption_head.")}
        load_strictly(self, self._fitted(state), path)
        return self

    @staticmethod
    def by_our_names(checkpoint: Mapping[str, Any], path: Path | str) -> dict[str, Any]:
        """Bring what `read_checkpoint` gave to our names; ``path`` is for the messages."""
        return under_our_names(checkpoint, path)

    def _fitted(self, state: Mapping[str, Any]) -> dict[str, Any]:
        own, table = self.state_dict()[_POSITIONS], state.get(_POSITIONS)
        if not isinstance(table, Tensor) or table.ndim != 3 or table.shape[1] == own.shape[1]:
            return dict(state)
        log.info("the table of %d image positions is resized to %d", table.shape[1], own.shape[1])
        return {**state, _POSITIONS: resize_positions(table, own.shape[1])}


def _unit(vectors: Float[Tensor, "*items dim"]) -> Float[Tensor, "*items dim"]:
    return F.normalize(vectors.float(), dim=-1)


def _check_sizes(config: Any, vocab_size: int | None, image_size: int | None) -> None:
    """Compare what the inputs have with what the weights want."""
    rows, side = config.qformer_config.vocab_size, config.vision_config.image_size
    if vocab_size is not None and not 0 <= rows - vocab_size <= 1:  # one more may stand for the place of the image
        raise DataError(
            f"the weights have {rows} word pieces, but the vocabulary has {vocab_size}; give the vocabulary that "
            "belongs to them"
        )
    if image_size is not None and image_size != side:
        raise DataError(f"the weights take images of {side} pixels, but model.inputs.image makes {image_size}")
