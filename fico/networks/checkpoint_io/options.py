"""Options of a network that names and shapes of a checkpoint show, compared with those it was built with."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from fico.errors import DataError

_WORD_GRU = "txt_enc.rnn.weight_ih_l"


def check_option(name: str, stored: int | bool, built: int | bool, path: Path | str) -> None:
    """Compare one option of the checkpoint with that of the network.

    Args:
        name: The constructor argument.
        stored: Its value as the names and shapes of the checkpoint show it.
        built: Its value in the network.
        path: The checkpoint, for the message.

    Raises:
        DataError: The values differ; both are named.
    """
    if stored != built:
        raise DataError(
            f"{path} was trained with {name}={_as_yaml(stored)}, but the model has {name}={_as_yaml(built)}; "
            f"set {name} to {_as_yaml(stored)}"
        )


def check_gru_layers(state: Mapping[str, Any], gru: nn.GRU, path: Path | str) -> None:
    """Compare the number of layers of the GRU over words, the option ``num_layers``.

    Args:
        state: Tensors under our names.
        gru: That of the network.
        path: The checkpoint, for the message.

    Raises:
        DataError: The numbers differ; both are named.
    """
    layers = {name.removesuffix("_reverse") for name in state if name.startswith(_WORD_GRU)}
    if layers:  # none at all: strict loading names what is missing
        check_option("num_layers", len(layers), gru.num_layers, path)


def check_gru_directions(state: Mapping[str, Any], gru: nn.GRU, path: Path | str) -> None:
    """Compare the directions of the GRU over words, the option ``bidirectional``; arguments as for `check_gru_layers`.

    Raises:
        DataError: The values differ; both are named.
    """
    if f"{_WORD_GRU}0" in state:
        check_option("bidirectional", f"{_WORD_GRU}0_reverse" in state, gru.bidirectional, path)


def check_weight_norm(state: Mapping[str, Any], module: nn.Module, path: Path | str) -> None:
    """Compare the form of the image projection, the option ``weight_norm``.

    Args:
        state: Tensors under our names.
        module: The network.
        path: The checkpoint, for the message.

    Raises:
        DataError: The forms differ; both are named.
    """
    gain = "img_enc.fc.weight_g"
    if "img_enc.fc.bias" in state:
        check_option("weight_norm", gain in state, gain in module.state_dict(), path)


def check_vocabulary(state: Mapping[str, Any], words: int, path: Path | str) -> None:
    """Compare the rows of the word embedding with the size of the vocabulary.

    Args:
        state: Tensors under our names.
        words: Size of the vocabulary, the four markers counted.
        path: The checkpoint, for the message.

    Raises:
        DataError: The sizes differ; both are named.
    """
    name = "txt_enc.embed.weight"
    if name in state and len(state[name]) != words:
        raise DataError(
            f"{path} was trained with a vocabulary of {len(state[name])} words, but this one has {words}; "
            "give the vocabulary that belongs to the checkpoint"
        )


def check_bits(state: Mapping[str, Any], name: str, bits: int, path: Path | str) -> None:
    """Compare the code length of a hashing network.

    Args:
        state: Tensors under our names.
        name: A bias of the last layer, one value per bit.
        bits: Code length of the network.
        path: The checkpoint, for the message.

    Raises:
        DataError: The lengths differ; both are named.
    """
    if name in state and len(state[name]) != bits:
        raise DataError(
            f"{path} holds codes of {len(state[name])} bits, but the model has bits={bits}; "
            "set model.bits to that of the checkpoint"
        )


def _as_yaml(value: int | bool) -> str:
    return str(value).lower()
