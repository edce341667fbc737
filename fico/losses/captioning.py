"""Captioning losses: targets of a captioner and their likelihood."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from fico.networks.blocks.attention import word_mask

END = 2  # the vocabularies of this family: 0 pad, 1 start, 2 end, 3 unknown


def caption_targets(
    texts: Int64[Tensor, "texts words"], lengths: Int64[Tensor, " texts"], max_len: int
) -> tuple[Int64[Tensor, "texts width"], Float[Tensor, "texts width"]]:
    """Labels and mask of a captioner, each ``max_len + 1`` wide.

    Args:
        texts: Word ids with start and end marker, padded with 0.
        lengths: Words per caption, both markers counted.
        max_len: A caption of at least so many words is cut to so many; its last word becomes the end marker.

    Returns:
        Labels: start, words, end, zeros. Mask: 1 up to and including the first zero, so that one pad symbol
        after the end marker is predicted too.
    """
    kept = lengths.clamp(max=max_len)
    positions = torch.arange(max_len + 1, device=texts.device)
    labels = texts.new_zeros(len(texts), max_len + 1)
    width = min(texts.shape[1], max_len)
    labels[:, :width] = texts[:, :width]
    labels = labels.masked_fill(positions >= kept.unsqueeze(1), 0)
    is_cut_end = (positions == kept.unsqueeze(1) - 1) & (lengths >= max_len).unsqueeze(1)
    return labels.masked_fill(is_cut_end, END), (positions <= kept.unsqueeze(1)).float()


class CaptionLikelihood(nn.Module):
    """Masked negative log-likelihood, summed over words and divided by the batch size.

    Source:
        The public code of VSRN (``LanguageModelCriterion``); Li et al., ICCV 2019, equation 9.
    """

    def forward(
        self,
        log_probabilities: Float[Tensor, "texts steps vocabulary"],
        labels: Int64[Tensor, "texts steps"],
        mask: Float[Tensor, "texts steps"],
    ) -> Float[Tensor, ""]:
        """Mean over captions of the sum over their words, in nats.

        Args:
            log_probabilities: Of the word after each step.
            labels: The target words.
            mask: 1 where a word counts.
        """
        targets = log_probabilities.gather(2, labels.unsqueeze(2)).squeeze(2)
        return -(targets * mask).sum() / len(labels)


def caption_loss(
    logits: Float[Tensor, "texts words vocabulary"],
    texts: Int64[Tensor, "texts words"],
    lengths: Int64[Tensor, " texts"] | None = None,
    smoothing: float = 0.1,
) -> Float[Tensor, ""]:
    """Language modelling loss of BLIP-2: cross-entropy of each word piece after the first, in nats.

    Args:
        logits: Of the next word piece.
        texts: Word pieces, the end marker counted.
        lengths: Of each text.
        smoothing: Label smoothing, 0..1.
    """
    is_word = word_mask(texts.shape[1], lengths)
    targets = texts if is_word is None else texts.masked_fill(~is_word, -100)
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), targets[:, 1:].flatten(), label_smoothing=smoothing)
