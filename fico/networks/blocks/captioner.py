"""Recurrent captioner with attention over regions, an auxiliary task of VSRN's training."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn


class RegionGRU(nn.Module):
    """Linear projection and a GRU over the regions."""

    def __init__(self, region_dim: int, hidden_dim: int, dropout: float) -> None:
        super().__init__()
        self.vid2hid = nn.Linear(region_dim, hidden_dim)
        self.dropout = nn.Dropout(dropout)
        self.rnn = nn.GRU(hidden_dim, hidden_dim, batch_first=True)
        nn.init.xavier_normal_(self.vid2hid.weight)

    def forward(
        self, regions: Float[Tensor, "images regions dim"]
    ) -> tuple[Float[Tensor, "images regions hidden"], Float[Tensor, "1 images hidden"]]:
        """Hidden states after every region, and the last one."""
        states, last = self.rnn(self.dropout(self.vid2hid(regions)))
        return states, last


class AdditiveAttention(nn.Module):
    """Additive attention over region states: ``v . tanh(W [region ; state] + b)``, softmax over regions."""

    def __init__(self, hidden_dim: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(2 * hidden_dim, hidden_dim)
        self.linear2 = nn.Linear(hidden_dim, 1, bias=False)

    def keys(self, states: Float[Tensor, "images regions hidden"]) -> Float[Tensor, "images regions hidden"]:
        """The regions' part of ``W [region ; state] + b``, which is the same at every step."""
        return nn.functional.linear(states, self.linear1.weight[:, : states.shape[2]], self.linear1.bias)

    def forward(
        self,
        states: Float[Tensor, "images regions hidden"],
        keys: Float[Tensor, "images regions hidden"],
        state: Float[Tensor, "images hidden"],
    ) -> Float[Tensor, "images hidden"]:
        """Mean of the region states, weighted by attention."""
        query = nn.functional.linear(state, self.linear1.weight[:, state.shape[1] :])
        weights = self.linear2(torch.tanh(keys + query.unsqueeze(1))).softmax(dim=1)
        context: Tensor = (weights * states).sum(dim=1)
        return context


class CaptionDecoder(nn.Module):
    """GRU decoder with attention over the regions at every step."""

    def __init__(self, vocab_size: int, hidden_dim: int, word_dim: int, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, word_dim)
        self.attention = AdditiveAttention(hidden_dim)
        self.dropout = nn.Dropout(dropout)
        self.rnn = nn.GRU(word_dim + hidden_dim, hidden_dim, batch_first=True)
        self.out = nn.Linear(hidden_dim, vocab_size)
        nn.init.xavier_normal_(self.out.weight)

    def forward(
        self,
        states: Float[Tensor, "images regions hidden"],
        last: Float[Tensor, "1 images hidden"],
        words: Int64[Tensor, "images steps"],
    ) -> Float[Tensor, "images steps vocabulary"]:
        """Log-probabilities of the word after each step, with teacher forcing."""
        keys, embedded = self.attention.keys(states), self.embedding(words)
        outputs = []
        for step in range(words.shape[1]):
            context = self.attention(states, keys, last[0])
            step_input = self.dropout(torch.cat([embedded[:, step], context], dim=1))
            output, last = self.rnn(step_input.unsqueeze(1), last)
            outputs.append(output)
        logits: Tensor = self.out(torch.cat(outputs, dim=1))
        return logits.log_softmax(dim=2)


class Captioner(nn.Module):
    """Encoder-decoder that generates a caption from region features.

    Args:
        vocab_size: Number of words, the four markers counted.
        region_dim: Width of the region features; VSRN's ``embed_dim``.
        hidden_dim: Width of both GRUs.
        word_dim: Width of its own word embedding.
        dropout: On the projected regions and on the decoder's input, 0..1.

    Source:
        Li et al., ICCV 2019, section 3.4, and the authors' public code (``S2VTAttModel``), whose parameter
        names are kept. Venugopalan et al., ICCV 2015, for the form.
    """

    def __init__(
        self,
        vocab_size: int,
        region_dim: int = 2048,
        hidden_dim: int = 512,
        word_dim: int = 300,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.encoder = RegionGRU(region_dim, hidden_dim, dropout)
        self.decoder = CaptionDecoder(vocab_size, hidden_dim, word_dim, dropout)

    def forward(
        self, regions: Float[Tensor, "images regions dim"], words: Int64[Tensor, "images steps"]
    ) -> Float[Tensor, "images steps vocabulary"]:
        """Log-probabilities of the word after each of ``words``, which begin with the start marker."""
        states, last = self.encoder(regions)
        return self.decoder.forward(states, last, words)
