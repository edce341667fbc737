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
    with suppress(ImportError):  # told where the logger is built
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

        try:
            check_gpu(factory, str(node.get("device", "cpu")), node.get("shards", 1))
        except UsageError as error:
            yield f"index.{name}.device: {error}"
            continue
        if factory.startswith("CAGRA"):  # FAISS has no factory string of it
            continue
        try:
            metric = None if factory.startswith("B") else node.get("metric", "cosine")
            check_factory(factory.replace("{lists}", str(_LISTS)), metric)
        except UsageError as error:
            yield f"index.{name}.factory: {error}"


def _wrong_weights(config: DictConfig, key: str) -> Iterator[str]:
    """Refuse a file that shares less than half of its names of weights with the network: it is one of another model."""
    given = OmegaConf.select(config, key)
    node = OmegaConf.select(config, "model.module.network")
    if not given or not Path(given).is_file() or not isinstance(node, DictConfig):
        return
    from fico.networks.checkpoint_io.load import first_few, read_checkpoint

    try:
        content = read_checkpoint(Path(given))
        network = _without_values(node)
        names = _of_run(content) if key == "model.checkpoint" else _of_authors(content, network, given)
    except FicoError as error:
        yield str(error)
        return
    expected = set(network.state_dict())
    extra = {name for name in names - expected if not name.startswith(_FROZEN)}
    if 2 * len(names & expected) < len(expected | extra):
        yield (
            f"{key} is {given}, which holds weights of another model: the model here has no "
            f"{first_few(sorted(extra)) or 'such names'}; give a file of {config.model.name}, or set model= to the "
            "model of the file"
        )


def _without_values(node: DictConfig) -> Any:
    """The network on the device of torch that holds no values, with a size in place of each that the data will give."""
    import torch

    plain: Any = OmegaConf.to_container(node, resolve=True)
    with torch.device("meta"):
        return build(plain | {name: size for name, size in _SIZES.items() if name in plain and plain[name] is None})


def _of_run(checkpoint: Mapping[str, Any]) -> set[str]:
    names = (str(name).partition("network.") for name in checkpoint.get("state_dict", {}))
    return {name for before, is_network, name in names if is_network and not before}


def _of_authors(checkpoint: Mapping[str, Any], network: Any, path: str) -> set[str]:
    remap = getattr(network, "remap_state_dict", None)
    return set(checkpoint if remap is None else remap(checkpoint, path))
