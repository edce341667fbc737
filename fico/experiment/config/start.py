"""Whether this machine, FAISS and the weights can do what a config asks, before the data are read.

Torch is imported here and Lightning is not, so that the answer comes within seconds.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from fico.errors import FicoError, UsageError
from fico.experiment.build import build

# In place of sizes that only the data know; names of weights do not depend on them.
_SIZES = {"image_size": 384, **dict.fromkeys(("image_dim", "text_dim", "vocab_size", "classes", "regions"), 8)}
_LISTS = 16  # for {lists} of a factory, whose number comes from the items
_FROZEN = ("txt_enc.bert.", "img_enc.backbone.")  # in the authors' files of ADV, which may read their outputs instead


def wrong_start(config: DictConfig) -> Iterator[str]:
    """Every reason for which the run would end later, each as one sentence."""
    if OmegaConf.select(config, "logger.wandb"):
        _load_wandb()
    yield from _wrong_device(config)
    yield from _wrong_factories(config)
    for key in ("model.weights", "model.checkpoint"):
        yield from _wrong_weights(config, key)


def _load_wandb() -> None:
    """Import what the first run of W&B imports, before torch.

    Its classes look through all loaded modules for their own source: 0.15 s of CPU time now, 1.4 s once torch,
    Lightning and transformers are loaded, also where the service is down.
    """
    with suppress(ImportError):  # reported where the logger is built
        import wandb.apis.public  # noqa: F401


def _wrong_device(config: DictConfig) -> Iterator[str]:
    accelerator = OmegaConf.select(config, "trainer.accelerator")
    if accelerator not in ("gpu", "cuda"):
        return
    import torch

    is_metal = accelerator == "gpu" and torch.backends.mps.is_available()
    if not (torch.cuda.is_available() or is_metal):
        yield (
            f"trainer.accelerator is {accelerator}, but PyTorch {torch.__version__} finds no GPU; take trainer=cpu, or "
            "let fico doctor say what is missing"
        )


def _wrong_factories(config: DictConfig) -> Iterator[str]:
    for name, node in (config.get("index") or {}).items():
        factory = node.get("factory") if isinstance(node, DictConfig) else None
        if not isinstance(factory, str):
            continue
        from fico.search.faiss_factory import check_factory
        from fico.search.faiss_gpu import check_gpu

        is_binary = factory.startswith("B")
        try:
            check_gpu(factory, str(node.get("device", "cpu")), node.get("shards", 1))
        except UsageError as error:
            yield f"index.{name}.device: {error}"
            continue
        if factory.startswith("CAGRA"):  # FAISS has no factory string of it
            continue
        try:
            check_factory(
                factory.replace("{lists}", str(_LISTS)),
                None if is_binary else node.get("metric", "cosine"),
                _width(config, is_binary=is_binary),
            )
        except UsageError as error:
            yield f"index.{name}.factory: {error}"


def _width(config: DictConfig, *, is_binary: bool) -> int | None:
    """Columns that an index will see: dimensions of floats, bytes of codes; None where only the data know them."""
    if bits := OmegaConf.select(config, "model.bits"):
        return int(bits) // 8 if is_binary else int(bits)
    if is_binary or config.model.query_time_attention:  # codes of floats are as long as ITQ can make them
        return None
    network = OmegaConf.select(config, "model.module.network") or {}
    known = [network.get(name) for name in ("embed_dim", "dim")]
    return next((int(dim) for dim in known if isinstance(dim, int)), None)


def _wrong_weights(config: DictConfig, key: str) -> Iterator[str]:
    """Refuse a file that shares less than half of its names of weights with the network: it is one of another model."""
    given = OmegaConf.select(config, key)
    node = OmegaConf.select(config, "model.module.network")
    if not given or not Path(given).is_file() or not isinstance(node, DictConfig):
        return
    from fico.networks.checkpoint_io.load import first_few, read_checkpoint, wrapping
    from fico.run_context import STAMP

    try:
        content = read_checkpoint(Path(given))
        if key == "model.weights" and STAMP in content:
            yield f"{key} is {given}, which a run wrote; give it as model.checkpoint={given}"
            return
        network = _shape_only(node)
        state = _of_run(content) if key == "model.checkpoint" else _of_authors(content, network, given)
    except FicoError as error:
        yield str(error)
        return
    names, expected = set(state), set(network.state_dict())
    extra = {name for name in names - expected if not name.startswith(_FROZEN)}
    if 2 * len(names & expected) < len(expected | extra):
        advice = wrapping(state)
        yield (
            f"{key} is {given}: {advice}"
            if advice
            else (
                f"{key} is {given}, which holds weights of another model: the model here has no "
                f"{first_few(sorted(extra)) or 'such names'}; give a file of {config.model.name}, or set model= to the "
                "model of the file"
            )
        )


def _shape_only(node: DictConfig) -> Any:
    """The network on the device of torch that holds no values, with a size in place of each that the data will give."""
    from fico.networks.checkpoint_io.shape_only import shape_only

    plain: Any = OmegaConf.to_container(node, resolve=True)
    with shape_only():
        return build(plain | {name: size for name, size in _SIZES.items() if name in plain and plain[name] is None})


def _of_run(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name.removeprefix("network."): value
        for name, value in checkpoint.get("state_dict", {}).items()
        if name.startswith("network.")
    }


def _of_authors(checkpoint: Mapping[str, Any], network: Any, path: str) -> Mapping[str, Any]:
    remap = getattr(network, "remap_state_dict", None)
    state: Mapping[str, Any] = checkpoint if remap is None else remap(checkpoint, path)
    return state
