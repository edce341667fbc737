"""Hashing encoders that threshold an item's values at their median, so that about half of its bits are set."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from fico.errors import DataError
from fico.networks.blocks.bert import Bert, BertLayer

_KERNELS = (1, 2, 3)  # words under a convolution of the text hasher


def balanced_codes(values: Float[Tensor, "items bits"], sharpness: float) -> Float[Tensor, "items bits"]:
    """Continuous codes of which half are above 0: tanh of each value less its item's median.

    Args:
        values: Of any scale.
        sharpness: Factor inside the tanh, above 0.

    Returns:
        In -1..1. The median itself, of an even number the lower one, lies just below 0, or at 0 where the 1e-8
        that is added to it is lost in rounding.
    """
    median = values.median(dim=1, keepdim=True).values
    return torch.tanh(sharpness * (values - (median + 1e-8)))


class RegionHasher(nn.Module):
    """Image side of the re-ranking architecture: one transformer layer over regions, mean of softmax votes for bits.

    Args:
        image_dim: Width of a region's features; 2048 for bottom-up attention.
        bits: Length of the code.
        dim: Width inside the transformer layer.
        heads: Its attention heads.
        inner_dim: Width inside its perceptron.
        dropout: In it, 0..1.
    """

    def __init__(
        self,
        image_dim: int,
        bits: int,
        dim: int = 256,
        heads: int = 16,
        inner_dim: int = 2048,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.mapping = nn.Linear(image_dim, dim)
        self.layer = BertLayer(dim, heads, inner_dim, dropout)
        self.mapping2 = nn.Linear(dim, bits)

    def forward(self, regions: Float[Tensor, "images regions image_dim"]) -> Float[Tensor, "images bits"]:
        """Continuous codes. The softmax over bits is taken per region, before the mean over regions."""
        votes = self.mapping2(self.layer(self.mapping(regions))).softmax(dim=2)
        return balanced_codes(votes.mean(dim=1), sharpness=100.0)


class ScreeningHead(nn.Module):
    """Image side of the screening architecture: a linear layer on one feature per image, such as a ResNet-50's.

    Args:
        image_dim: Width of the feature; 2048 in the original.
        bits: Length of the code.
    """

    def __init__(self, image_dim: int, bits: int) -> None:
        super().__init__()
        self.backbone = nn.ModuleDict({"fc": nn.Linear(image_dim, bits)})

    def forward(self, images: Float[Tensor, "images image_dim"]) -> Float[Tensor, "images bits"]:
        """Continuous codes; no softmax here."""
        return balanced_codes(self.backbone["fc"](images), sharpness=10.0)


class TextHasher(nn.Module):
    """Text side: convolutions over 1, 2 and 3 word states, max pooling, linear layer, median threshold.

    The convolutions run over ``max_words`` states of every text, padding included, as the original's do.

    Args:
        bits: Length of the code.
        word_dim: Width of a word state; 768 for BERT-base.
        vocab_size: Where set, texts are word ids and their states a trained embedding.
        bert: Where set, texts are word pieces and their states those of this model, which is frozen but keeps its
            dropout in training. Without either, texts are the states themselves.
        max_words: Longest text; the rest is cut off.
        channels: Of each convolution.
        dropout: On the pooled features, 0..1.
    """

    def __init__(
        self,
        bits: int,
        word_dim: int = 768,
        vocab_size: int | None = None,
        bert: Bert | None = None,
        max_words: int = 32,
        channels: int = 512,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if max_words < max(_KERNELS):
            raise ValueError(f"max_words must be at least {max(_KERNELS)}, got {max_words}")
        self.max_words = max_words
        self.word_dim = word_dim
        self.words = None if vocab_size is None else nn.Embedding(vocab_size, word_dim, padding_idx=0)
        self.bert = None if bert is None else bert.requires_grad_(False)
        self.convs1 = nn.ModuleList(nn.Conv2d(1, channels, (height, word_dim)) for height in _KERNELS)
        self.dropout = nn.Dropout(dropout)
        self.mapping = nn.Linear(len(_KERNELS) * channels, bits)

    def forward(self, texts: Tensor) -> Float[Tensor, "texts bits"]:
        """Continuous codes.

        Args:
            texts: Word ids ``texts words``, padded with 0, or states ``texts words dim``.
        """
        states = self.states(texts).unsqueeze(1)
        pooled = [F.relu(convolution(states)).squeeze(3).amax(dim=2) for convolution in self.convs1]
        votes = self.mapping(self.dropout(torch.cat(pooled, dim=1))).softmax(dim=1)
        return balanced_codes(votes, sharpness=10.0)

    def states(self, texts: Tensor) -> Float[Tensor, "texts words dim"]:
        """The first ``max_words`` states of each text, padded with the states of the padding, or with zeros.

        Raises:
            DataError: The texts are word ids instead of states, states instead of ids, or states of another width.
        """
        self._check_form(texts)
        missing = self.max_words - texts.shape[1]
        padded = F.pad(texts, (0, missing) if texts.ndim == 2 else (0, 0, 0, missing))  # negative padding truncates
        if self.bert is not None:
            with torch.no_grad():
                states: Tensor = self.bert(padded, padded > 0)
            return states
        return padded if self.words is None else self.words(padded)

    def _check_form(self, texts: Tensor) -> None:
        takes_ids = self.words is not None or self.bert is not None
        has_shape = texts.ndim == 2 if takes_ids else texts.ndim == 3 and texts.shape[2] == self.word_dim
        if takes_ids == texts.is_floating_point() or not has_shape:
            wanted = "word ids, texts x words" if takes_ids else f"word states, texts x words x {self.word_dim}"
            raise DataError(
                f"the texts are {texts.dtype} of shape {tuple(texts.shape)}, but ADV was built for {wanted}; "
                "set inputs.text and vocab_size of the model to what the features are"
            )


class ConceptHead(nn.Sequential):
    """Multi-label classifier of an item's concepts from its code, in training only.

    Args:
        bits: Length of the code.
        classes: Number of concepts.
        hidden_dim: Width of the hidden layer.
    """

    def __init__(self, bits: int, classes: int, hidden_dim: int = 1024) -> None:
        super().__init__(nn.Linear(bits, hidden_dim), nn.ReLU(), nn.Linear(hidden_dim, classes), nn.Sigmoid())
        self.classes = classes
