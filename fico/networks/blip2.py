"""BLIP-2: an image encoder, and a Q-Former whose learnt queries attend to it and which encodes texts."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from fico.networks.blocks.attention import word_mask
from fico.networks.blocks.caption_head import CaptionHead, caption_mask
from fico.networks.blocks.fusion import head_logits, unexpanded, without_autocast
from fico.networks.blocks.qformer import image_keys, joint_states
from fico.networks.checkpoint_io.blip2_config import FINAL_EPS, check_sizes, explicit_config, released_config
from fico.networks.checkpoint_io.blip2_names import LIBRARY, remap_state_dict
from fico.networks.checkpoint_io.hub import read_folder, released_folder
from fico.networks.checkpoint_io.load import load_strictly, read_checkpoint
from fico.networks.checkpoint_io.resize import resize_position_table
from fico.util.optional import requires_extra

log = logging.getLogger(__name__)
_POSITIONS = LIBRARY + "vision_model.embeddings.position_embedding"
_BLOCKS = LIBRARY + "vision_model.encoder.layers."
_TABLES = LIBRARY + "vision_model.embeddings."


class BLIP2(nn.Module):
    """BLIP-2 for retrieval: one vector per learnt query and image, one per text, and an image-text matching head.

    Args:
        source: Folder of weights in the form of transformers, or a hub name: its config sets all sizes, and those
            below are ignored. None or a weights file: the sizes below.
        vocab_size: Word pieces, the markers counted; the last starts a caption. Must be that of ``source`` too.
        image_size: Side of the images in pixels; where set, must be that of ``source`` too.
        patch_size: Side of a patch in pixels.
        vision_dim: Width of the image encoder; further ``vision_layers``, ``vision_heads``, ``vision_inner_dim``.
        vision_layers: Its blocks.
        vision_heads: Its attention heads.
        vision_inner_dim: Width inside its perceptrons.
        dim: Width of the Q-Former.
        layers: Its layers.
        heads: Its attention heads.
        inner_dim: Width inside its perceptrons.
        positions: Longest text, in word pieces.
        queries: Learnt queries, the number of vectors per image.
        embed_dim: Width of the vectors.
        cross_every: Cross-attention to the image in every n-th layer, from the first.
        dropout: In the Q-Former, 0..1.
        temp: Initial value of the learnt temperature, which similarities are divided by in training.
        captions: Add the captioning head, for the third loss of the original; retrieval does not use it.

    Raises:
        DataError: ``source`` lacks files, or is another model.
        ValueError: Sizes do not fit each other or those of ``source``.

    Source:
        Li, Li, Savarese, Hoi: ICML 2023, arXiv 2301.12597. The parts are those of transformers'
        ``Blip2ForImageTextRetrieval``, composed here so that the image encoder runs once per image.

    Differs:
        From transformers: the final norm of the image encoder has the original's epsilon of 1e-5, and a model from
        scratch is initialised so that it can be trained. From the original: keys of the image encoder have a bias,
        which is initialised to 0 and changes no attention.
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
        check_sizes(config, vocab_size, image_size)
        self.caption_start = (vocab_size or int(config.qformer_config.vocab_size)) - 1
        self.retrieval = Blip2ForImageTextRetrieval(config)
        self.retrieval.vision_model.post_layernorm.eps = FINAL_EPS
        nn.init.normal_(
            self.retrieval.query_tokens, std=self.retrieval.query_tokens.shape[-1] ** -0.5
        )  # zeros, as in the library, would make all queries equal
        self.temp = nn.Parameter(torch.tensor(temp))
        self.caption_head = CaptionHead(config.qformer_config) if captions else None

    def image_states(self, images: Float[Tensor, "images rgb side side"]) -> Float[Tensor, "images tokens width"]:
        """States of the image encoder, the class token's first; all that the other methods need of an image.

        Args:
            images: Normalised pixels.

        Raises:
            ValueError: The images have another side than the position table.
        """
        if images.shape[-1] != self.image_size:
            raise ValueError(f"the images have a side of {images.shape[-1]} pixels, the weights {self.image_size}")
        states: Tensor = self.retrieval.vision_model(pixel_values=images).last_hidden_state
        return states

    def query_states(self, image_states: Float[Tensor, "images tokens width"]) -> Float[Tensor, "images queries dim"]:
        """States of the learnt queries after cross-attention to each image."""
        queries = self.retrieval.query_tokens.expand(len(image_states), -1, -1)
        states: Tensor = self.retrieval.qformer(query_embeds=queries, encoder_hidden_states=image_states)[0]
        return states

    def text_states(
        self, texts: Int64[Tensor, "texts words"], lengths: Int64[Tensor, " texts"] | None = None
    ) -> Float[Tensor, "texts words dim"]:
        """States of the word pieces, without an image; those of the padding mean nothing."""
        words = self.retrieval.embeddings(input_ids=texts)
        mask = word_mask(texts.shape[1], lengths)
        states: Tensor = self.retrieval.qformer(query_embeds=words, query_length=0, attention_mask=mask)[0]
        return states

    def image_embeddings(
        self, image_states: Float[Tensor, "images tokens width"]
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
        """Largest cosine of each text with the query vectors of each image, -1..1; ``lengths`` are not used.

        In float32 under autocast too: cosines in half precision tie by the dozen.
        """
        with without_autocast(images):
            return torch.einsum("iqd,td->iqt", images.float(), texts.float()).amax(dim=1)

    def match_texts(
        self, texts: Int64[Tensor, "texts words"], lengths: Int64[Tensor, " texts"] | None = None
    ) -> Int64[Tensor, "texts words"]:
        """What `match` takes of texts: the word pieces themselves, which are encoded together with an image."""
        return texts

    def match(
        self,
        image_states: Float[Tensor, "pairs tokens width"],
        texts: Int64[Tensor, "pairs words"],
        lengths: Int64[Tensor, " pairs"] | None = None,
    ) -> Float[Tensor, " pairs"]:
        """Matching logit of each text and the image of its row, any real number; higher is nearer.

        Args:
            image_states: Of `image_states`, one image per text.
            texts: Word pieces as for `encode_texts`; there are no text states to reuse.
            lengths: As for `encode_texts`.
        """
        shared = unexpanded(image_states)
        if len(shared) < len(texts) and not self.training:
            one_list = None if lengths is None else lengths[None]
            return self.match_lists(self.image_keys(shared), texts[None], one_list)[0]
        return self.match_logits(image_states, texts, lengths)[:, 1]

    def match_logits(
        self,
        image_states: Float[Tensor, "pairs tokens width"],
        texts: Int64[Tensor, "pairs words"],
        lengths: Int64[Tensor, " pairs"] | None = None,
    ) -> Float[Tensor, "pairs 2"]:
        """Logits of no match and of a match, the mean over the queries; arguments as for `match`."""
        states = self._joint_states(image_states, texts, self._joint_mask(texts, lengths))
        return head_logits(self.retrieval.itm_head, states[:, : self.queries]).mean(dim=1)

    def image_keys(
        self, image_states: Float[Tensor, "images tokens width"]
    ) -> Float[Tensor, "images layers two heads tokens part"]:
        """Keys and values of each image, from `image_states`: all that `match_lists` needs of it."""
        return image_keys(self.retrieval.qformer, image_states)

    def match_lists(
        self,
        image_keys: Float[Tensor, "images layers two heads tokens part"],
        texts: Int64[Tensor, "images texts words"],
        lengths: Int64[Tensor, "images texts"] | None = None,
    ) -> Float[Tensor, "images texts"]:
        """`match` of each image with the texts of its own list, without dropout.

        Args:
            image_keys: Of `image_keys`.
            texts: Word pieces as for `encode_texts`.
            lengths: As for `encode_texts`.
        """
        pairs = texts.flatten(0, 1)
        mask = self._joint_mask(pairs, None if lengths is None else lengths.flatten())
        states = joint_states(self.retrieval.qformer, self._together(pairs), image_keys, self.queries, mask)
        return head_logits(self.retrieval.itm_head, states).mean(dim=1)[:, 1].view(texts.shape[:2])

    def caption_logits(
        self,
        image_states: Float[Tensor, "pairs tokens width"],
        texts: Int64[Tensor, "pairs words"],
        lengths: Int64[Tensor, " pairs"] | None = None,
    ) -> Float[Tensor, "pairs words vocabulary"]:
        """Logits of the next word piece, conditioned on the image and the pieces so far; arguments as for `match`.

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

    def _joint_mask(self, texts: Tensor, lengths: Tensor | None) -> Tensor | None:
        """False at the padding behind queries and word pieces; None without padding."""
        mask = word_mask(texts.shape[1], lengths)
        return None if mask is None else torch.cat([mask.new_ones(len(mask), self.queries), mask], dim=1)

    def _together(self, texts: Tensor) -> Tensor:
        """Embeddings of the queries and the word pieces behind them."""
        queries = self.retrieval.query_tokens.expand(len(texts), -1, -1)
        embedded: Tensor = self.retrieval.embeddings(input_ids=texts, query_embeds=queries)
        return embedded

    def _joint_states(self, image_states: Tensor, texts: Tensor, mask: Tensor | None) -> Tensor:
        states: Tensor = self.retrieval.qformer(
            query_embeds=self._together(texts),
            query_length=self.queries,
            attention_mask=mask,
            encoder_hidden_states=unexpanded(image_states),  # keys and values of a shared image are computed once
        )[0]
        return states

    def layers_above(self, name: str) -> int:
        """Layers between a parameter and the top of the image encoder, for layer-wise decay of the learning rate."""
        blocks = len(self.retrieval.vision_model.encoder.layers)
        if name.startswith(_BLOCKS):
            return blocks - int(name.removeprefix(_BLOCKS).split(".")[0])
        return blocks + 1 if name.startswith(_TABLES) else 0

    def load_released(self, path: Path | str) -> "BLIP2":
        """Load released weights.

        Args:
            path: The authors' ``.pth``, a ``.safetensors`` with its or transformers' names, a folder in the form of
                transformers (``save_pretrained``), or a hub name. The position table of another image size is resized.

        Returns:
            The network itself. Transformers' checkpoints hold no temperature: it keeps its value.

        Raises:
            DataError: Files are missing, or names or shapes differ from this network's (the first are named).
        """
        folder = released_folder(path)
        checkpoint = read_checkpoint(path) if folder is None else read_folder(folder)
        state = self.remap_state_dict(checkpoint, path)
        state.setdefault("temp", self.temp.detach())
        if self.caption_head is None:
            state = {name: value for name, value in state.items() if not name.startswith("caption_head.")}
        load_strictly(self, self._resized(state, path), path)
        return self

    @staticmethod
    def remap_state_dict(checkpoint: Mapping[str, Any], path: Path | str) -> dict[str, Any]:
        """Map the authors' or transformers' parameter names to ours; ``path`` is for the messages."""
        return remap_state_dict(checkpoint, path)

    def _resized(self, state: Mapping[str, Any], path: Path | str) -> dict[str, Any]:
        rows, table = self.state_dict()[_POSITIONS].shape[1], state.get(_POSITIONS)
        if not isinstance(table, Tensor) or table.ndim != 3 or table.shape[1] == rows:
            return dict(state)
        log.info("%s: the visual position table was resized from %d to %d rows", path, table.shape[1], rows)
        return {**state, _POSITIONS: resize_position_table(table[0], rows, 1, path)[None]}


def _unit(vectors: Float[Tensor, "*items dim"]) -> Float[Tensor, "*items dim"]:
    return F.normalize(vectors.float(), dim=-1)
