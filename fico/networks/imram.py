"""IMRAM: iterative matching with recurrent attention memory, over regions and words."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from fico.networks.blocks.attention import (
    aggregate,
    attended_cosines,
    attention_weights,
    dot_products,
    word_mask,
)
from fico.networks.blocks.l2_norm import unit_vectors
from fico.networks.blocks.region_words import RegionEncoder, RegionWordNetwork, WordEncoder, lists_as_contexts
from fico.networks.checkpoint_io.load import read_checkpoint

Mode = Literal["full", "text", "image"]


class IMRAM(RegionWordNetwork):
    """Iterative matching network: a pair scorer by K steps of cross-attention with a gated query memory.

    At every step the queries attend to the context; the step's score is the mean cosine between the original
    query vectors and their attended vectors; then a gated memory refines the queries. The score is the sum over
    the steps, and in ``full`` mode over both directions.

    Args:
        image_dim: Width of the region features; 2048 for bottom-up attention.
        vocab_size: Number of words, the four markers counted.
        embed_dim: Width of the vectors.
        word_dim: Width of the word embedding.
        mode: ``text``: words are the queries; ``image``: regions are; ``full``: the sum of both.
        steps: ``K``, at least 1.
        lambda_softmax: Inverse temperature of the attention in both directions; 9 in the authors' Flickr30K script, 11
            for COCO.
        normalise_memory: L2-normalise the refined queries; both authors' scripts do not (``no_IMRAM_norm``).
        num_layers: Layers of the bidirectional GRU over the words; all published models have one.
        weight_norm: Weight normalisation of the image projection (``precomp_enc_type``).
        normalise_images: L2-normalise the region vectors; off is the original's ``no_imgnorm``.
        normalise_texts: L2-normalise the word vectors; off is the original's ``no_txtnorm``.
        standardise_images: Shift and scale each value of a region by the statistics of the training regions, which
            `fico.features.warm_start.CCAStart` sets; off in all published models.

    Raises:
        ValueError: ``mode`` is unknown or ``steps`` is below 1.

    Source:
        Chen et al., CVPR 2020, arXiv 2003.03772, and the authors' public code. Its parameter names are kept, but
        for ``fc`` (theirs: ``fc_local``), which `load_released` translates.

    Differs:
        The refinement after the last step, which the original computes and discards, is left out, and layers that
        the mode and the number of steps do not use are frozen. Global vectors that no score uses are not computed.
        The layers of the memory are applied to the context before attention instead of to attended vectors after
        it, which is the same (the weights add up to 1) and saves most of the work. The original's ``bi_gru`` can
        only be on.
    """

    def __init__(
        self,
        image_dim: int,
        vocab_size: int,
        embed_dim: int = 1024,
        word_dim: int = 300,
        mode: Mode = "full",
        steps: int = 3,
        lambda_softmax: float = 9.0,
        normalise_memory: bool = False,
        num_layers: int = 1,
        weight_norm: bool = False,
        normalise_images: bool = True,
        normalise_texts: bool = True,
        standardise_images: bool = False,
    ) -> None:
        if mode not in get_args(Mode) or steps < 1:
            raise ValueError(f"mode must be one of {get_args(Mode)} and steps at least 1, got {mode!r} and {steps}")
        super().__init__(
            RegionEncoder(image_dim, embed_dim, weight_norm, normalise_images, standardise_images),
            WordEncoder(vocab_size, word_dim, embed_dim, num_layers=num_layers, normalise=normalise_texts),
        )
        self.mode, self.steps = mode, steps
        self.lambda_softmax, self.normalise_memory = lambda_softmax, normalise_memory
        for direction in ("t2i", "i2t"):
            for kind in ("linear", "gate"):
                part = nn.Linear(2 * embed_dim, embed_dim)
                part.requires_grad_(direction in self.directions and steps > 1)
                self.add_module(f"{kind}_{direction}", part)

    @property
    def directions(self) -> tuple[str, ...]:
        """Directions that the score adds up."""
        return {"full": ("t2i", "i2t"), "text": ("t2i",), "image": ("i2t",)}[self.mode]

    def extra_repr(self) -> str:
        """The options of the score that no weight shows."""
        options = f"{self.mode}, steps={self.steps}, lambda_softmax={self.lambda_softmax}"
        return f"{options}, normalise_memory={self.normalise_memory}"

    def score(
        self,
        images: Float[Tensor, "images regions dim"],
        texts: Float[Tensor, "texts words dim"],
        lengths: Int64[Tensor, " texts"] | None = None,
    ) -> Float[Tensor, "images texts"]:
        """Sum of the step scores of every image with every caption.

        Args:
            images: Vectors of `encode_images`.
            texts: Vectors of `encode_texts`; padding has no influence.
            lengths: Words per caption; None: all are as long as ``texts`` is wide.

        Returns:
            Scores; higher is nearer. They lie in ``-steps..steps``, in ``full`` mode in twice that.
        """
        scores = [self.step_scores(images, texts, lengths, direction) for direction in self.directions]
        return torch.cat(scores).sum(dim=0)

    def score_lists(
        self,
        images: Float[Tensor, "images regions dim"],
        texts: Float[Tensor, "images texts words dim"],
        lengths: Int64[Tensor, "images texts"] | None = None,
    ) -> Float[Tensor, "images texts"]:
        """Sum of the step scores of each image with the captions of its own list; otherwise as `score`."""
        mask, steps = word_mask(texts.shape[2], lengths), []
        for direction in self.directions:
            if direction == "t2i":
                steps += self._steps(direction, texts, images, query_mask=mask)
            else:
                regions, words = lists_as_contexts(images, texts)
                flat = None if mask is None else mask.flatten(0, 1)
                scores = self._steps(direction, regions, words, context_mask=flat)
                steps += [step.view(texts.shape[:2]) for step in scores]
        return torch.stack(steps).sum(dim=0)

    def step_scores(
        self,
        images: Float[Tensor, "images regions dim"],
        texts: Float[Tensor, "texts words dim"],
        lengths: Int64[Tensor, " texts"] | None,
        direction: str,
    ) -> Float[Tensor, "steps images texts"]:
        """Score of every step in one direction; other arguments as for `score`.

        Args:
            images: Vectors of the regions.
            texts: Vectors of the words.
            lengths: Words per caption.
            direction: ``t2i``: words are the queries; ``i2t``: regions are.
        """
        mask = word_mask(texts.shape[1], lengths)
        if direction == "t2i":
            return torch.stack(self._steps(direction, texts, images, query_mask=mask))
        return torch.stack(self._steps(direction, images, texts, context_mask=mask)).transpose(1, 2)

    def _steps(
        self,
        direction: str,
        queries: Float[Tensor, "*contexts queries query_len dim"],
        context: Float[Tensor, "contexts context_len dim"],
        query_mask: Bool[Tensor, "*contexts queries query_len"] | None = None,
        context_mask: Bool[Tensor, "contexts context_len"] | None = None,
    ) -> list[Float[Tensor, "contexts queries"]]:
        gram, norms = context @ context.transpose(1, 2), torch.linalg.vector_norm(queries, dim=-1)
        original = products = dot_products(queries, context)
        refined, scores = queries, []
        memory = _Memory(self.get_submodule(f"linear_{direction}"), self.get_submodule(f"gate_{direction}"), context)
        for step in range(self.steps):
            weights = attention_weights(products, self.lambda_softmax, query_mask=query_mask, context_mask=context_mask)
            cosines = attended_cosines(weights, original, gram, norms)  # with the original queries, not the refined
            scores.append(aggregate(cosines, "Mean", query_mask=query_mask))
            if step + 1 < self.steps:
                refined = memory.refine(refined, weights)
                if self.normalise_memory:
                    refined = unit_vectors(refined)
                products = dot_products(refined, context)
        return scores

    def load_released(self, path: Path | str) -> "IMRAM":
        """Load the authors' checkpoint, or the same tensors as safetensors under their or our names.

        Args:
            path: The authors' ``model_best.pth.tar`` (a dict whose ``model`` is one state dict with ``module.``
                before the names), or a ``.safetensors``.

        Returns:
            The network itself. Mode, steps, lambda and the normalisations are in no released weights: they stay
            those of the constructor.

        Raises:
            DataError: The file is missing, holds anything but finite weights, belongs to another vocabulary or to
                other options (both values are named), or its names or shapes differ from this network's (the first
                are named).
        """
        state = self.remap_state_dict(read_checkpoint(path), path)
        self.load_checked(state, path)
        return self

    @staticmethod
    def remap_state_dict(checkpoint: Mapping[str, Any], path: Path | str) -> dict[str, Any]:
        """Map the authors' parameter names, as `read_checkpoint` gives them, to ours; ``path`` is for the messages."""
        stored = checkpoint["model"] if isinstance(checkpoint.get("model"), dict) else checkpoint
        return {name.removeprefix("module.").replace("fc_local", "fc"): value for name, value in stored.items()}


class _Memory:
    """The gated query memory of one direction, with its layers already applied to the context.

    On ``z = [query ; attended]`` the candidate is ``tanh(linear z)`` and the gate ``sigmoid(gate z)``; the refined
    query is ``gate * query + (1 - gate) * candidate``.
    """

    def __init__(self, linear: nn.Module, gate: nn.Module, context: Float[Tensor, "contexts context_len dim"]) -> None:
        weight = torch.cat([linear.weight, gate.weight])  # type: ignore[list-item]
        self._query_weight = weight[:, : context.shape[2]]
        bias = torch.cat([linear.bias, gate.bias])  # type: ignore[list-item]
        self._values = nn.functional.linear(context, weight[:, context.shape[2] :], bias)

    def refine(
        self,
        queries: Float[Tensor, "*contexts queries query_len dim"],
        weights: Float[Tensor, "contexts queries query_len context_len"],
    ) -> Float[Tensor, "contexts queries query_len dim"]:
        own = nn.functional.linear(queries, self._query_weight).flatten(-3, -2)
        both = torch.baddbmm(own, weights.flatten(1, 2), self._values)  # a pass over memory less than a sum of two
        candidate, gate = both.view(*weights.shape[:3], -1).chunk(2, dim=-1)
        queries = queries.to(candidate.dtype)  # stored vectors are in float32 under autocast too
        return torch.lerp(candidate.tanh(), queries, gate.sigmoid())
