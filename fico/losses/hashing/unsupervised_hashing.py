"""UCCH's loss on codes of any scale, for a hash head that is trained without labels."""

from jaxtyping import Float
from torch import Tensor, nn

from fico.losses.contrastive_hashing import ContrastiveHashing
from fico.losses.cross_modal_ranking import CrossModalRanking
from fico.networks.blocks.l2_norm import unit_along_axis_1
from fico.types import PairBatch


class UnsupervisedHashing(nn.Module):
    """``alpha`` times the contrastive hashing loss plus the rest of 1 times the cross-modal ranking loss.

    The keys of the contrast come from the batch, until as many pairs were seen as the memory bank has rows.

    Args:
        contrast: With its memory bank of one row per training caption.
        ranking: Of the batch.
        alpha: Weight of the contrast, in 0..1.

    Source:
        Hu et al., TPAMI 45(3) 2023 (UCCH), and the authors' public code.
    """

    def __init__(self, contrast: ContrastiveHashing, ranking: CrossModalRanking, alpha: float = 0.7) -> None:
        super().__init__()
        self.contrast, self.ranking, self.alpha = contrast, ranking, alpha

    def forward(
        self, images: Float[Tensor, "pairs bits"], texts: Float[Tensor, "pairs bits"], batch: PairBatch
    ) -> dict[str, Float[Tensor, ""]]:
        """Weighted terms, whose sum is the loss; updates the memory bank, once per call.

        Args:
            images: Continuous codes of any length, which are scaled to 1.
            texts: The same.
            batch: Of its ``text_ids`` each names a row of the memory bank.
        """
        image_units, text_units = unit_along_axis_1(images), unit_along_axis_1(texts)
        is_first_epoch = int(self.contrast.steps) * len(images) < len(self.contrast.memory)
        contrast = self.contrast(image_units, text_units, batch.text_ids, warmup=is_first_epoch)
        ranking = self.ranking(image_units, text_units)
        return {
            "contrast": self.alpha * (contrast.image + contrast.text),
            "ranking": (1 - self.alpha) * (ranking.i2t + ranking.t2i),
        }
