"""``fico convert``: writes a released checkpoint as safetensors under the names of `fico.networks`."""

import inspect
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from fico.errors import DataError, UsageError
from fico.networks.checkpoint_io.load import CodeInCheckpoint, read_checkpoint, refuse_non_finite
from fico.util.atomic import atomic_write
from fico.util.digests.sidecar import digest_file, write_digest_file

_LOG = logging.getLogger(__name__)
NETWORKS = Path(__file__).resolve().parents[1] / "networks"
ANY_SIZE = 16  # sizes that depend on the data change shapes, never names
# Options that change the names of a released model, besides those of the constructor.
FORMS: dict[str, tuple[dict[str, Any], ...]] = {
    "adv": ({}, {"is_screening": True}),
    "beit3": ({}, {"layers": 24}),  # base and large
    "blip2": ({"captions": True}, {}),
    "dadh": ({}, {"dropout": 0.5}),
    "imram": tuple({"num_layers": layers, "weight_norm": norm} for layers, norm in product((1, 2, 3), (False, True))),
    "scan": tuple(
        {"bidirectional": both, "weight_norm": norm, "num_layers": layers}
        for both, norm, layers in product((True, False), (False, True), (1, 2, 3))
    ),
    "ucch": tuple({"image_layers": image, "text_layers": text} for image, text in product(range(1, 6), repeat=2)),
    "vsrn": tuple(
        {"normalise_regions": not norm, "final_batch_norm": norm, "num_layers": layers}
        for norm, layers in product((False, True), (1, 2, 3))
    ),
}
# Frozen trunks that a file may hold, where the network may read their outputs from files instead.
OPTIONAL = {"adv": ("txt_enc.bert.", "img_enc.backbone.")}
COUNTERS = "num_batches_tracked"  # libraries before 0.4.1 did not write them
_NAMED = 3  # mismatches that one sentence names
_REMAP = "remap_state_dict"  # the method of a network that knows its authors' names


@dataclass(frozen=True, slots=True)
class Converted:
    """A checkpoint that was written."""

    path: Path
    tensors: int
    values: int


def convert(
    file: Path, model: str, out: Path | None = None, *, trust: bool = False, warn: Callable[[str], None] = _LOG.warning
) -> Converted:
    """Write a checkpoint's weights as safetensors, which ``model.weights`` takes.

    Args:
        file: The authors' file.
        model: Name of the network: ``ucch``, ``dadh``, ``vsrn``, ...
        out: Where to write; default: next to the file, with the suffix replaced.
        trust: Execute the code in a pickle; files of weights alone are read without.
        warn: Takes one sentence before any code is executed.

    Raises:
        UsageError: There is no such model, or ``out`` is the file itself or no ``.safetensors``.
        DataError: The file is missing, damaged, holds NaN or infinity, or its names are not those of the model (the
            first are named); `CodeInCheckpoint` for a pickle that needs code to load, without ``trust``.
    """
    network = _network(model)
    target = file.with_suffix(".safetensors") if out is None else out
    if target.suffix != ".safetensors" or target.resolve() == file.resolve():
        raise UsageError(f"the weights would be written to {target}; give another --out that ends with .safetensors")
    state = network.remap_state_dict(_read(file, trust, warn), file)
    _check_names(network, model, state, file)
    refuse_non_finite(state, file)
    # Encoders may share a tensor, which safetensors refuses; a file holds contiguous copies anyway.
    tensors = {name: value.detach().clone().contiguous() for name, value in state.items()}
    digest_file(target).unlink(missing_ok=True)  # of an older one
    with atomic_write(target) as temporary:
        save_file(tensors, temporary, metadata={"model": model})  # one key: two have no fixed order
    write_digest_file(target)
    return Converted(target, len(tensors), sum(value.numel() for value in tensors.values()))


def _network(model: str) -> Any:
    """The class of ``fico/networks/<model>.py`` that knows its authors' names."""
    known = {path.stem for path in NETWORKS.glob("*.py") if f"    def {_REMAP}" in path.read_text(encoding="utf-8")}
    if model not in known:
        raise UsageError(f"there is no released layout for --model {model}; give one of {', '.join(sorted(known))}")
    module = import_module(f"fico.networks.{model}")
    return next(value for value in vars(module).values() if isinstance(value, type) and hasattr(value, _REMAP))


def _read(file: Path, trust: bool, warn: Callable[[str], None]) -> dict[str, Any]:
    try:
        return read_checkpoint(file)
    except CodeInCheckpoint:
        if not trust:
            raise
    warn(f"{file} is a pickle with code, which is executed now with all your rights because of --trust")
    return read_checkpoint(file, trust=True)


def _check_names(network: type[nn.Module], model: str, state: Mapping[str, Any], file: Path) -> None:
    """Compare names and numbers of axes with every variant of the model; the closest one is reported."""
    optional = OPTIONAL.get(model, ())
    mismatches = min((list(_mismatches(form, state, optional)) for form in _forms(network, model)), key=len)
    if mismatches:
        more = f" and {len(mismatches) - _NAMED} more" if len(mismatches) > _NAMED else ""
        raise DataError(
            f"{file} does not hold the weights of {model}: {', '.join(mismatches[:_NAMED])}{more}; "
            "give the authors' file of this model"
        )


def _forms(network: type[nn.Module], model: str) -> Iterator[Mapping[str, Tensor]]:
    """State dicts on the meta device, one for each variant of the model."""
    parameters = inspect.signature(network).parameters.values()
    sizes = {parameter.name: ANY_SIZE for parameter in parameters if parameter.default is parameter.empty}
    for form in FORMS.get(model, ({},)):
        with torch.device("meta"):
            yield network(**sizes, **form).state_dict()


def _mismatches(own: Mapping[str, Tensor], state: Mapping[str, Any], optional: tuple[str, ...]) -> Iterator[str]:
    for name, value in own.items():
        if name not in state:
            if not name.endswith(COUNTERS):
                yield f"{name} is missing"
        elif not isinstance(state[name], Tensor):
            yield f"{name} is a {type(state[name]).__name__}"
        elif state[name].ndim != value.ndim:
            yield f"{name} has {state[name].ndim} axes instead of {value.ndim}"
    for name, value in state.items():
        if name not in own and not (name.startswith(optional) and isinstance(value, Tensor)):
            yield f"{name} is unknown"
