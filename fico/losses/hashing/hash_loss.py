"""The losses of a hash head, one interface for all: codes and batch in, weighted terms out."""

from typing import Literal

from fico.losses.contrastive_hashing import ContrastiveHashing
from fico.losses.cross_modal_ranking import CrossModalRanking
from fico.losses.hashing.proxy_hashing import ProxyHashing, separating_cosine
from fico.losses.hashing.screening import Screening
from fico.losses.hashing.unsupervised_hashing import UnsupervisedHashing

Kind = Literal["proxy", "contrast", "screening"]


def hash_loss(
    kind: Kind,
    bits: int,
    train_pairs: int,
    classes: int,
    source: str | None = None,
    negatives: int = 512,
    seed: int = 0,
) -> ProxyHashing | UnsupervisedHashing | Screening:
    """The loss that ``model.loss`` names.

    Args:
        kind: ``proxy``: labels are brought to the proxies of their classes. ``contrast``: pairs are brought together as
            by UCCH, without labels. ``screening``: the item to find is kept among the first candidates, without labels.
        bits: Length of the code.
        train_pairs: Training captions, each with a row in the memory bank of ``contrast``.
        classes: Classes of the labels; 0 without labels.
        source: Run whose embeddings the heads read: ``screening`` keeps their nearest item; None: the matching one.
        negatives: Keys drawn per pair, of ``contrast``.
        seed: Of the memory bank and of the drawn keys.

    Raises:
        DataError: ``proxy`` without labels.
    """
    if kind == "proxy":
        return ProxyHashing(classes, bits, separating_cosine(bits, classes))
    if kind == "screening":
        return Screening(keeps_nearest=source is not None)
    bank = ContrastiveHashing(train_pairs, bits, negatives, seed=seed)
    return UnsupervisedHashing(bank, CrossModalRanking(shift=0.1))
