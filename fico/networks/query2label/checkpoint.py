"""Checkpoints of Query2Label: the network is built from the names and shapes of the weights."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from fico.errors import DataError, UsageError
from fico.networks.checkpoint_io.load import load_strictly, read_checkpoint
from fico.networks.query2label.network import Query2Label, SinePositionEncoding
from fico.networks.query2label.resnet import ResNetTrunk
from fico.networks.query2label.swin_cvt import CvtTrunk, SwinTrunk, cvt_state, swin_state
from fico.networks.query2label.tresnet import TResNetTrunk

State = dict[str, Tensor]
_TRUNK = "backbone.0."
_COUNTER = "num_batches_tracked"
_CVT_CHANNELS_PER_HEAD = 64  # of every published size


def load_query2label(path: Path, *, heads: int = 4, image_size: int | None = None) -> Query2Label:
    """Build the network of a released file and load its weights, for evaluation.

    Backbone, sizes and optional parts are inferred from names and shapes; `heads` cannot be.

    Args:
        path: ``checkpoint.pkl`` of the authors, or the same tensors as ``.safetensors``.
        heads: Attention heads of the encoder and the decoder; 4 in all released models.
        image_size: Side of the input; that of the stored position encoding when not given.

    Raises:
        DataError: The file is missing, damaged, of another model, or its heads do not divide the width.
        UsageError: The size is not a multiple of the backbone's stride, or the backbone has one size only.
    """
    state = _weights(read_checkpoint(path))
    try:
        network, state = _built(state, heads, path)
    except (KeyError, IndexError) as error:
        raise DataError(f"{path} lacks {error} of a Query2Label model; give a checkpoint of that model") from error
    load_strictly(network, state, path)
    if image_size not in (None, network.image_size):
        _resize(network, int(image_size or 0))
    return network.eval()


def _resize(network: Query2Label, size: int) -> None:
    trunk = network.backbone[0]
    stride = int(trunk.stride)  # type: ignore[arg-type]
    if isinstance(trunk, SwinTrunk) or size < stride or size % stride:
        only = "only" if isinstance(trunk, SwinTrunk) else f"or another multiple of {stride}"
        raise UsageError(f"images of {size} pixels do not fit these weights; take {network.image_size} {only}")
    network.image_size = size
    network.backbone[1] = SinePositionEncoding(network.query_embed.embedding_dim, size // stride)


def _weights(checkpoint: Mapping[str, Any]) -> State:
    """Tensors of a checkpoint: under ``state_dict`` or ``model``, or the dict itself; names without ``module.``."""
    inner = next((checkpoint[key] for key in ("state_dict", "model") if isinstance(checkpoint.get(key), dict)), None)
    tensors = checkpoint if inner is None else inner
    return {name.removeprefix("module."): value for name, value in tensors.items()}


def _built(state: State, heads: int, path: Path) -> tuple[Query2Label, State]:
    classes, dim = state["query_embed.weight"].shape
    if dim % heads:
        raise DataError(
            f"{path} has states of {dim} channels, which {heads} heads do not divide; set nheads in its JSON"
        )
    trunk_state = {name.removeprefix(_TRUNK): value for name, value in state.items() if name.startswith(_TRUNK)}
    side = state["backbone.1.pe"].shape[-1]
    trunk, trunk_state = _trunk(trunk_state, side, path)
    network = Query2Label(
        trunk,
        image_size=side * int(trunk.stride),  # type: ignore[arg-type]
        classes=classes,
        dim=dim,
        inner_dim=len(state["transformer.encoder.layers.0.linear1.weight"]),
        heads=heads,
        encoder_layers=_count(state, "transformer.encoder.layers."),
        decoder_layers=_count(state, "transformer.decoder.layers."),
        has_projection="input_proj.weight" in state,
        has_self_attention="transformer.decoder.layers.0.self_attn.in_proj_weight" in state,
    )
    rest = {name: value for name, value in state.items() if not name.startswith(_TRUNK)}
    return network, rest | {_TRUNK + name: value for name, value in trunk_state.items()}


def _trunk(state: State, side: int, path: Path) -> tuple[nn.Module, State]:
    kinds: dict[str, Callable[[State, int], tuple[nn.Module, State]]] = {
        "body.body.": _tresnet,  # before body., its prefix
        "body.": _resnet,
        "patch_embed.": _swin,
        "stage0.": _cvt,
    }
    for prefix, build in kinds.items():
        if any(name.startswith(prefix) for name in state):
            return build(state, side)
    raise DataError(f"{path} holds no known backbone (ResNet, TResNet, Swin, CvT); give a released file")


def _resnet(state: State, side: int) -> tuple[nn.Module, State]:
    blocks = [_count(state, f"body.layer{stage}.") for stage in (1, 2, 3, 4)]
    planes = [len(state[f"body.layer{stage}.0.conv1.weight"]) for stage in (1, 2, 3, 4)]
    trunk = ResNetTrunk(blocks, planes, stem=len(state["body.conv1.weight"]))
    return trunk, {name: value for name, value in state.items() if not name.endswith(_COUNTER)}


def _tresnet(state: State, side: int) -> tuple[nn.Module, State]:
    blocks = [_count(state, f"body.body.layer{stage}.") for stage in (1, 2, 3, 4)]
    is_version_2 = "body.body.layer1.0.conv3.0.weight" in state
    trunk = TResNetTrunk(blocks, len(state["body.body.conv1.0.weight"]), is_version_2)
    return trunk, {name: value for name, value in state.items() if not name.endswith(_COUNTER)}


def _swin(state: State, side: int) -> tuple[nn.Module, State]:
    blocks = [_count(state, f"layers.{stage}.blocks.") for stage in range(_count(state, "layers."))]
    tables = [state[f"layers.{stage}.blocks.0.attn.relative_position_bias_table"] for stage in range(len(blocks))]
    trunk = SwinTrunk(
        image_size=side * SwinTrunk.stride,
        dim=len(state["patch_embed.proj.weight"]),
        blocks=blocks,
        heads=[table.shape[1] for table in tables],
        window=(math.isqrt(len(tables[0])) + 1) // 2,
    )
    return trunk, swin_state(state)


def _cvt(state: State, side: int) -> tuple[nn.Module, State]:
    stages = range(len({name.split(".")[0] for name in state if name.startswith("stage")}))
    dims = [len(state[f"stage{stage}.patch_embed.proj.weight"]) for stage in stages]
    trunk = CvtTrunk(
        dims=dims,
        blocks=[_count(state, f"stage{stage}.blocks.") for stage in stages],
        heads=[width // _CVT_CHANNELS_PER_HEAD for width in dims],
    )
    return trunk, cvt_state(state)


def _count(state: State, prefix: str) -> int:
    """Number of modules in a list of the original."""
    return len({name[len(prefix) :].split(".")[0] for name in state if name.startswith(prefix)})
