"""Falsified captions as hard negatives: an informative word is replaced by another of the batch."""

import torch
from jaxtyping import Int64
from torch import Tensor, nn
from torch.nn import functional as F

_MARKERS = 4  # the vocabularies of this bench: 0 pad, 1 start, 2 end, 3 unknown


class WordExchange(nn.Module):
    """Replaces one word of each caption by a word that it does not contain.

    Only informative words are replaced and inserted: those of few captions of the batch. The replacement is sampled
    by its document frequency, first among the words that follow the same word somewhere in the batch.

    Args:
        variants: Falsified captions per caption; a module takes 0 as none.
        common: Document frequency in the batch above which a word is not informative, 0..1.

    Source:
        The idea is ADV's, whose adversarial captions replace nouns, numerals or relations.

    Differs:
        The original finds the word classes with a parser, once, for ten variants per caption; here the preceding word
        stands for the class, and every step samples anew. The result may by chance still describe the image.
    """

    def __init__(self, variants: int = 2, common: float = 0.5) -> None:
        super().__init__()
        self.variants = variants
        self.common = common

    @torch.no_grad()
    def forward(self, texts: Int64[Tensor, "texts words"]) -> Int64[Tensor, "texts variants words"]:
        """Falsified captions; one without an informative word is returned unchanged."""
        size = int(texts.max()) + 1
        contains = F.one_hot(texts, size).amax(dim=1).bool()
        frequency = contains.float().mean(dim=0)
        informative = (frequency > 0) & (frequency <= self.common)
        informative[:_MARKERS] = False
        replaceable = informative[texts]
        has_any = replaceable.any(dim=1)
        position = torch.multinomial((replaceable | ~has_any.unsqueeze(1)).float(), self.variants, replacement=True)
        before = texts.gather(1, (position - 1).clamp(min=0))
        weights = (frequency * informative).expand(len(texts), size).masked_fill(contains, 0)
        weights = weights.unsqueeze(1) * (1e-6 + _followers(texts, size)[before])
        weights[..., 0] += 1e-30  # without candidates padding is drawn, which is not used
        drawn = torch.multinomial(weights.flatten(0, 1), 1).view_as(position)
        unchanged = (drawn == 0) | ~has_any.unsqueeze(1)
        words = torch.where(unchanged, texts.gather(1, position), drawn)
        return texts.unsqueeze(1).repeat(1, self.variants, 1).scatter(2, position.unsqueeze(2), words.unsqueeze(2))


def _followers(texts: Int64[Tensor, "texts words"], size: int) -> Tensor:
    """Bigram indicators, ``size size``: 1 where the second word follows the first in some caption."""
    bigrams = torch.zeros(size, size, device=texts.device)
    bigrams[texts[:, :-1].flatten(), texts[:, 1:].flatten()] = 1
    return bigrams
