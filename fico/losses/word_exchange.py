"""Makes falsified captions out of true ones: a telling word is exchanged for another of the batch."""

import torch
from jaxtyping import Int64
from torch import Tensor, nn
from torch.nn import functional as F

_MARKERS = 4  # the vocabularies of this bench: 0 pad, 1 start, 2 end, 3 unknown


class WordExchange(nn.Module):
    """Exchanges one word of each caption for a word that it does not hold.

    Only telling words leave and come: those that few captions of the batch hold. The word that comes is drawn by how
    many captions hold it, first among the words that stand behind the same word somewhere in the batch.

    Args:
        variants: Falsified captions per caption; a module takes 0 as none.
        common: A word in a larger share of the batch's captions than this is not telling, 0..1.

    Source:
        The idea is ADV's, whose adversarial captions exchange nouns, numerals or relations.

    Differs:
        The original finds the kinds of words with a parser, once, for ten variants a caption; here the word in front
        stands for the kind, and every step draws anew. The result may by chance still be true of the image.
    """

    def __init__(self, variants: int = 2, common: float = 0.5) -> None:
        super().__init__()
        self.variants = variants
        self.common = common

    @torch.no_grad()
    def forward(self, texts: Int64[Tensor, "texts words"]) -> Int64[Tensor, "texts variants words"]:
        """Falsified captions; one without a telling word comes back as it is."""
        size = int(texts.max()) + 1
        holds = F.one_hot(texts, size).amax(dim=1).bool()
        share = holds.float().mean(dim=0)
        telling = (share > 0) & (share <= self.common)
        telling[:_MARKERS] = False
        can_leave = telling[texts]
        has_any = can_leave.any(dim=1)
        place = torch.multinomial((can_leave | ~has_any.unsqueeze(1)).float(), self.variants, replacement=True)
        before = texts.gather(1, (place - 1).clamp(min=0))
        weights = (share * telling).expand(len(texts), size).masked_fill(holds, 0)
        weights = weights.unsqueeze(1) * (1e-6 + _followers(texts, size)[before])
        weights[..., 0] += 1e-30  # a draw among no words gives padding, which is not used
        comes = torch.multinomial(weights.flatten(0, 1), 1).view_as(place)
        unchanged = (comes == 0) | ~has_any.unsqueeze(1)
        comes = torch.where(unchanged, texts.gather(1, place), comes)
        return texts.unsqueeze(1).repeat(1, self.variants, 1).scatter(2, place.unsqueeze(2), comes.unsqueeze(2))


def _followers(texts: Int64[Tensor, "texts words"], size: int) -> Tensor:
    """``size size``: 1 where the second word stands behind the first somewhere."""
    found = torch.zeros(size, size, device=texts.device)
    found[texts[:, :-1].flatten(), texts[:, 1:].flatten()] = 1
    return found
