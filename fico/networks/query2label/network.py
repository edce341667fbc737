"""Query2Label: a transformer decoder with one learnt query per class, attending to the feature map of an image."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

_TEMPERATURE = 10_000.0
_EPS = 1e-6


class SinePositionEncoding(nn.Module):
    """Sine and cosine encoding of row and column, stored as the buffer ``pe`` that released files hold.

    The first half of the channels encodes the row, the second the column; coordinates run from 1 and are divided
    by their number, times 2 pi.

    Args:
        dim: Channels, a multiple of 4.
        side: Rows and columns of the feature map.
    """

    def __init__(self, dim: int, side: int) -> None:
        super().__init__()
        if dim % 4:
            raise ValueError(f"the position encoding needs a multiple of 4 channels, got {dim}")
        self.register_buffer("pe", _sine_table(dim, side))

    def forward(self, maps: Float[Tensor, "images channels h w"]) -> Float[Tensor, "1 dim h w"]:
        """The encoding of a map, the same for each image."""
        return self.get_buffer("pe").to(maps.dtype)


def _sine_table(dim: int, side: int) -> Float[Tensor, "1 dim side side"]:
    half = dim // 2
    coordinates = torch.arange(1, side + 1, dtype=torch.float32) / (side + _EPS) * 2 * math.pi
    pairs = torch.arange(half, dtype=torch.float32).div(2, rounding_mode="floor")
    angles = coordinates[:, None] / _TEMPERATURE ** (2 * pairs / half)
    waves = torch.stack((angles[:, 0::2].sin(), angles[:, 1::2].cos()), dim=2).flatten(1).T  # half x side
    rows, columns = waves[:, :, None].expand(-1, -1, side), waves[:, None, :].expand(-1, side, -1)
    return torch.cat((rows, columns))[None].contiguous()


class EncoderLayer(nn.Module):
    """Post-norm transformer encoder layer; the position encoding is added to queries and keys, not to values."""

    def __init__(self, dim: int, inner_dim: int, heads: int) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.linear1, self.linear2 = nn.Linear(dim, inner_dim), nn.Linear(inner_dim, dim)
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)

    def forward(
        self, states: Float[Tensor, "images tokens dim"], position: Float[Tensor, "1 tokens dim"]
    ) -> Float[Tensor, "images tokens dim"]:
        """States of the next layer."""
        queries = states + position
        states = self.norm1(states + self.self_attn(queries, queries, states, need_weights=False)[0])
        output: Tensor = self.norm2(states + self.linear2(F.relu(self.linear1(states))))
        return output


class DecoderLayer(nn.Module):
    """Post-norm transformer decoder layer: class queries with cross-attention to the feature map.

    Args:
        dim: Width of a state.
        inner_dim: Width inside the perceptron.
        heads: Attention heads.
        has_self_attention: Self-attention of the classes before the cross-attention; released models have none.
    """

    def __init__(self, dim: int, inner_dim: int, heads: int, has_self_attention: bool) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(dim, heads, batch_first=True) if has_self_attention else None
        self.norm1 = nn.LayerNorm(dim) if has_self_attention else None
        self.multihead_attn = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.linear1, self.linear2 = nn.Linear(dim, inner_dim), nn.Linear(inner_dim, dim)
        self.norm2, self.norm3 = nn.LayerNorm(dim), nn.LayerNorm(dim)

    def forward(
        self,
        states: Float[Tensor, "images classes dim"],
        classes: Float[Tensor, "classes dim"],
        keys: Float[Tensor, "images tokens dim"],
        values: Float[Tensor, "images tokens dim"],
    ) -> Float[Tensor, "images classes dim"]:
        """States of the next layer; ``classes`` are the class embeddings, added to the queries."""
        if self.self_attn is not None and self.norm1 is not None:
            queries = states + classes
            states = self.norm1(states + self.self_attn(queries, queries, states, need_weights=False)[0])
        queries = states + classes
        states = self.norm2(states + self.multihead_attn(queries, keys, values, need_weights=False)[0])
        output: Tensor = self.norm3(states + self.linear2(F.relu(self.linear1(states))))
        return output


class _Encoder(nn.Module):
    def __init__(self, layers: int, dim: int, inner_dim: int, heads: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(dim, inner_dim, heads) for _ in range(layers))

    def forward(
        self, states: Float[Tensor, "images tokens dim"], position: Float[Tensor, "1 tokens dim"]
    ) -> Float[Tensor, "images tokens dim"]:
        for layer in self.layers:
            states = layer(states, position)
        return states


class _Decoder(nn.Module):
    def __init__(self, layers: int, dim: int, inner_dim: int, heads: int, has_self_attention: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList(DecoderLayer(dim, inner_dim, heads, has_self_attention) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)

    def forward(
        self,
        classes: Float[Tensor, "classes dim"],
        keys: Float[Tensor, "images tokens dim"],
        values: Float[Tensor, "images tokens dim"],
    ) -> Float[Tensor, "images classes dim"]:
        states = torch.zeros_like(classes).expand(len(values), -1, -1)
        for layer in self.layers:
            states = layer(states, classes, keys, values)
        normed: Tensor = self.norm(states)
        return normed


class GroupWiseLinear(nn.Module):
    """A linear layer per class, from the state of the class to its logit."""

    def __init__(self, classes: int, dim: int) -> None:
        super().__init__()
        self.W, self.b = nn.Parameter(torch.zeros(1, classes, dim)), nn.Parameter(torch.zeros(1, classes))

    def forward(self, states: Float[Tensor, "images classes dim"]) -> Float[Tensor, "images classes"]:
        """Logits."""
        return (self.W * states).sum(dim=2) + self.b


class Query2Label(nn.Module):
    """Multi-label classifier of images, with the parameter names of the authors' release.

    Args:
        trunk: Backbone up to the last feature map, of ``channels`` channels and stride ``stride``.
        image_size: Side of the square input, in pixels.
        classes: Number of classes; 80 of COCO.
        dim: Width of the states; the trunk's channels where there is no projection.
        inner_dim: Width inside the perceptrons.
        heads: Attention heads. No weight shows them: another number loads, and the logits are wrong.
        encoder_layers: Layers of the encoder.
        decoder_layers: Layers of the decoder.
        has_projection: A 1x1 convolution projects the map to ``dim`` channels; released models have none.
        has_self_attention: Of `DecoderLayer`.

    Source:
        Liu et al., 2021, arXiv 2107.10834, and the authors' public code.

    Differs:
        No dropout: evaluation only.
    """

    def __init__(
        self,
        trunk: nn.Module,
        image_size: int,
        classes: int = 80,
        dim: int = 2048,
        inner_dim: int = 8192,
        heads: int = 4,
        encoder_layers: int = 1,
        decoder_layers: int = 2,
        has_projection: bool = False,
        has_self_attention: bool = False,
    ) -> None:
        super().__init__()
        channels, stride = int(trunk.channels), int(trunk.stride)  # type: ignore[arg-type]
        if not has_projection and channels != dim:
            raise ValueError(f"without a projection dim must be the trunk's {channels} channels, got {dim}")
        self.image_size = image_size
        self.backbone = nn.ModuleList([trunk, SinePositionEncoding(dim, image_size // stride)])
        self.input_proj = nn.Conv2d(channels, dim, 1) if has_projection else nn.Identity()
        encoder = _Encoder(encoder_layers, dim, inner_dim, heads)
        decoder = _Decoder(decoder_layers, dim, inner_dim, heads, has_self_attention)
        self.transformer = nn.ModuleDict({"encoder": encoder, "decoder": decoder})
        self.query_embed = nn.Embedding(classes, dim)
        self.fc = GroupWiseLinear(classes, dim)

    def forward(self, images: Float[Tensor, "images 3 size size"]) -> Float[Tensor, "images classes"]:
        """Logits of the classes; their sigmoid is the probability of the class."""
        maps = self.backbone[0](images)
        position = self.backbone[1](maps).flatten(2).transpose(1, 2)
        tokens = self.input_proj(maps).flatten(2).transpose(1, 2)
        memory = self.transformer["encoder"](tokens, position)
        states = self.transformer["decoder"](self.query_embed.weight, memory + position, memory)
        logits: Tensor = self.fc(states)
        return logits
