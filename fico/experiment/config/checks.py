"""Checks of the keys and values of a composed config, before anything is built.

This module imports neither torch nor Lightning, so that a mistyped key is answered at once.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from fico.errors import UsageError
from fico.evaluation.option_checks import option_problems
from fico.experiment.config.bench import bench_problems, is_bench
from fico.experiment.config.cascade import cascade_problems, is_cascade
from fico.experiment.config.hydra_errors import right_key
from fico.experiment.config.resolvers import features_name
from fico.experiment.config.start import wrong_start
from fico.experiment.config.targets import PROTOCOL_KEYS, wrong_targets
from fico.experiment.config.throughput import DEFAULTS, throughput_problems
from fico.external.positives import source_problems
from fico.util.zip_records import is_weights_file

SPLITS = ("train", "val", "test")
STAGES = ("fit", "test", "encode")
WEIGHT_SUFFIXES = (".safetensors", ".bin", ".pth", ".pt", ".tar", ".ckpt")

MODEL_KEYS = frozenset(
    {
        "name", "family", "similarity", "size", "bits", "weights", "checkpoint", "query_time_attention",
        "inputs", "batch_size", "epochs", "gradient_clip", "monitor", "module", "rerank", "precision", "vocabulary",
        "warm_start", "source", "loss", "head",
    }
)  # fmt: skip
# Arguments of the trainer that a run sets, with what to set instead.
TRAINER_KEYS = {
    "max_epochs": "set model.epochs",
    "gradient_clip_val": "set model.gradient_clip",
    "callbacks": "add +callbacks.NAME._target_=CLASS",
    "logger": "choose logger=csv, wandb or none, or add +logger.NAME._target_=CLASS",
    "default_root_dir": "set hydra.run.dir",
    "enable_checkpointing": "leave it out: the test reads the checkpoint of the best epoch",
    "use_distributed_sampler": "leave it out: the data module shards the batches without repeating a sample",
    "num_sanity_val_steps": "leave it out: a sanity check of some batches has no metrics of a whole split",
}
PRECISIONS = ("64-true", "32-true", "16-mixed", "bf16-mixed", "16-true", "bf16-true")
_SHORT_PRECISIONS = ("None", "64", "32", "16", "bf16", "transformer-engine", "transformer-engine-float16")
REQUIRED_CALLBACKS = ("retrieval",)  # without it there is nothing to select or to report
# Arguments of the trainer under which an epoch would not see the whole split, with what to set instead.
PART_OF_SPLIT = {
    "fast_dev_run": "take debug=fast",
    "overfit_batches": "take debug=overfit",
    "limit_val_batches": "leave it out, or set 0 for no validation",
    "limit_test_batches": "leave it out",
}
MONITOR = re.compile(r"val/(instance|category)/((i2t|t2i|mean)/)?[^/\s]+")
CHOICES = {
    "model.size": ("tiny", "paper"),
    "model.loss": ("contrast", "proxy", "screening"),
    "model.head": ("tanh", "sign"),
    "model.precision": ("bf16", "fp16"),
    "model.rerank.rule": ("itm", "itm_plus_similarity"),
    "dataset.split": SPLITS,
    "dataset.protocol": ("karpathy", "hashing"),
    "run.resume": ("auto", "never"),
    "logger.mode": ("offline", "online", "disabled"),
}
# A bare number or list on the command line is no text.
PATH_KEYS = (
    "dataset.root", "dataset.image_root", "model.weights", "model.checkpoint", "model.source", "bench.data",
    "bench.query_data", "bench.rows_path", "index.hybrid.rows_path",
)  # fmt: skip


def check_config(config: DictConfig, *, is_start: bool = False) -> None:
    """Refuse what cannot run: unknown keys, values out of range, targets whose signature does not take their keys.

    Args:
        config: The composed config.
        is_start: The run begins on this machine, so that its devices and the files of weights are looked at too.

    Raises:
        UsageError: All errors in one message, each with its key path.
    """
    if is_cascade(config):
        if problems := list(cascade_problems(config)):
            raise UsageError("; ".join(problems))
        return
    errors = [*_unknown_keys(config), *(_unused_by_a_bench(config) or [*_wrong_choices(config), *_run_keys(config)])]
    if not errors:
        resolved = OmegaConf.to_container(config, resolve=True)  # requires valid choices
        errors += _wrong_values(config)
        errors += [f"{key} is not set; add {key}=VALUE to the command line" for key in sorted(_missing(resolved))]
        errors += [] if errors or not is_start else wrong_start(config)  # imports torch
        errors += [] if errors else _wrong_metrics(config, resolved)
        errors += [] if errors else wrong_targets(resolved)  # imports all targets, which is slow
    if errors:
        raise UsageError("; ".join(errors))


def _unknown_keys(config: DictConfig) -> Iterator[str]:
    known = {
        "model", "dataset", "features", "metric", "index", "callbacks", "trainer", "logger", "bench", "stage", "seed",
        "name", "run", "untrained", "throughput",
    }  # fmt: skip
    for prefix, node, keys in (("", config, known), ("model.", config.get("model") or {}, MODEL_KEYS)):
        for key in node:
            if key not in keys:
                yield f"unknown key {prefix}{key!s}{right_key(f'{prefix}{key!s}', keys)}"
    yield from bench_problems(config)


def _wrong_choices(config: DictConfig) -> Iterator[str]:
    for path, allowed in CHOICES.items():
        value = OmegaConf.select(config, path)
        if value is not None and value not in allowed:
            yield f"{path} is {value!r}, but must be one of {', '.join(allowed)}"
    if isinstance(metric := config.get("metric"), DictConfig):
        options: Any = OmegaConf.to_container(metric, resolve=True)
        yield from source_problems(options.pop("positives", {}), "metric.positives.")
        yield from option_problems({name: options[name] for name in options if name != "metrics"}, "metric.")


def _wrong_metrics(config: DictConfig, resolved: Any) -> Iterator[str]:
    """What the metrics themselves refuse, such as a cut-off of 0 or a name that is taken."""
    if config.get("metric") is None:  # of a bench
        return
    if errors := list(wrong_targets(resolved["metric"], "metric")):
        yield from errors
        return
    from fico.experiment.metrics import chosen_monitor, metric_options

    try:
        options = metric_options(config)
        chosen_monitor(str(config.model.monitor), options, has_labels=True)
    except UsageError as error:
        yield str(error)


def _run_keys(config: DictConfig) -> Iterator[str]:
    """What a run sets or requires itself: a user's value would be replaced or missing."""
    if is_bench(config):
        return
    for key, advice in TRAINER_KEYS.items():
        if key in (config.get("trainer") or {}):
            yield f"trainer.{key} is set by the run; {advice}"
    if "bits" in config.model and config.model.similarity != "hamming":
        yield (
            f"model.bits is set, but {config.model.name} returns floats; leave it out, or take a hashing model such as "
            "ucch or clip_hash"
        )
    yield from _trainer_limits(config.get("trainer") or {})
    for name in REQUIRED_CALLBACKS:
        if not OmegaConf.select(config, f"callbacks.{name}"):
            yield f"callbacks.{name} is missing, but every run evaluates with it; leave callbacks.{name} in"
    monitor = OmegaConf.select(config, "model.monitor")
    if not MONITOR.fullmatch(str(monitor)):
        yield f"model.monitor is {monitor!r}, but must be val/TASK/DIRECTION/METRIC, such as val/instance/mean/R@10"
    test, training = OmegaConf.select(config, "model.precision"), OmegaConf.select(config, "trainer.precision")
    if str(training) not in PRECISIONS + _SHORT_PRECISIONS:
        yield f"trainer.precision is {training!r}, but must be one of {', '.join(PRECISIONS)}"
    if test is not None and str(training) not in ("32-true", "32"):
        yield f"model.precision={test} and trainer.precision={training} both set the test's precision; leave one out"
    if str(training) in ("bf16-true", "16-true") and OmegaConf.select(config, "model.query_time_attention"):
        yield f"trainer.precision={training} cannot score pairs; use {str(training).removesuffix('true')}mixed"


def _wrong_values(config: DictConfig) -> Iterator[str]:
    stage = config.stage
    is_known = isinstance(stage, ListConfig) and stage and all(step in STAGES for step in stage)
    if not is_known and not is_bench(config):
        example = stage if stage in STAGES else "test"
        yield f"stage is {stage}, but must be a list out of {', '.join(STAGES)}, such as stage=[{example}]"
    elif is_known and {"test", "encode"} <= set(stage):
        yield f"stage is {stage}, but a test encodes and stores the split already; leave encode out"
    elif is_known and _is_untrained(config):
        yield (
            f"stage=[{stage[0]}] without weights would test an untrained network; set model.checkpoint=FILE (of a run) "
            "or model.weights=FILE (of the authors), or train it with stage=[fit,test]"
        )
    yield from throughput_problems(config.get("throughput") or {})
    yield from _wrong_protocol(config)
    bits = OmegaConf.select(config, "model.bits")
    if bits is not None and not (_is_whole(bits) and bits > 0 and bits % 8 == 0):
        yield f"model.bits is {bits}, but must be a positive multiple of 8, such as 16, 32, 64 or 128"
    captions = OmegaConf.select(config, "dataset.captions_per_image")
    if captions is not None and captions != "all" and not (_is_whole(captions) and captions > 0):
        yield f"dataset.captions_per_image is {captions!r}, but must be all or a positive whole number"
    for path, least in (
        ("seed", 0), ("model.epochs", 1), ("model.batch_size", 2), ("metric.bootstrap", 0), ("dataset.images", 20),
        ("dataset.subset", 1), ("dataset.copies", 1), ("model.rerank.k", 1), ("dataset.protocol_queries", 1),
        ("dataset.protocol_train", 1), ("dataset.protocol_validation", 1), ("dataset.protocol_seed", 0),
        ("dataset.seed", 0),
    ):  # fmt: skip
        value = OmegaConf.select(config, path)
        if value is not None and not (_is_whole(value) and least <= value < 2**32):
            bound = f"below {2**32}" if _is_whole(value) and value >= least else f"of at least {least}"
            yield f"{path} is {value!r}, but must be a whole number {bound}"
    if not isinstance(config.get("name"), str | int | float):
        yield f"name is {config.get('name')!r}, but must be text, such as name=baseline"
    for key in PATH_KEYS:
        if (value := OmegaConf.select(config, key)) is not None and not isinstance(value, str):
            yield f"{key} is {value!r}, but must be a path; a file or folder of that name is given as {key}=./NAME"
    for key in ("model.weights", "model.checkpoint"):
        file = Path(str(OmegaConf.select(config, key) or "."))
        is_path = file.is_absolute() or file.suffix in WEIGHT_SUFFIXES  # anything else may be a hub name
        if is_path and not file.exists():
            yield f"{key} is {file}, but there is no such file or folder; correct the path"
        elif is_path and not is_weights_file(file):
            yield f"{key} is {file}, which is neither a file of torch.save nor a .safetensors; fetch it again"
    source = OmegaConf.select(config, "model.source")
    if isinstance(source, str) and not Path(source).is_dir():
        yield f"model.source is {source}, but there is no such folder; give the folder that a run printed last"


def _missing(node: Any, path: str = "") -> Iterator[str]:
    """Paths of the values of a resolved config that are not set."""
    if node == "???":
        yield path
    elif isinstance(node, dict):
        for key, value in node.items():
            yield from _missing(value, f"{path}.{key!s}" if path else str(key))
    elif isinstance(node, list):
        for place, value in enumerate(node):
            yield from _missing(value, f"{path}[{place}]")


def _wrong_protocol(config: DictConfig) -> Iterator[str]:
    """Keys of a protocol that is not chosen, and metrics that queries against a database do not have."""
    dataset, metric = config.get("dataset") or {}, config.get("metric") or {}
    if dataset.get("protocol") != "hashing":
        for key in PROTOCOL_KEYS:
            if dataset.get(key) is not None:
                yield f"dataset.{key} belongs to the hashing protocol; add dataset.protocol=hashing, or leave it out"
        return
    if "category" not in (metric.get("tasks") or ("category",)):
        yield "dataset.protocol=hashing has the category task alone, but metric.tasks leaves it out; take metric=both"
    if OmegaConf.select(config, "model.rerank") is not None:
        yield (
            f"dataset.protocol=hashing ranks a whole database, but {config.model.name} orders the first k items alone; "
            "take a model without re-ranking, such as ucch"
        )
    if dataset.get("copies") is not None:
        yield "dataset.copies repeats a split whose sides search each other; leave it out, or dataset.protocol=hashing"
    if metric.get("positives") or metric.get("folds", 1) != 1 or metric.get("hubness_correction") is not None:
        yield (
            "dataset.protocol=hashing has neither metric.positives nor metric.folds nor metric.hubness_correction, as "
            "its queries search a database; leave them out"
        )


def _is_untrained(config: DictConfig) -> bool:
    """Whether a network is tested as it was made; an experiment that only times it says ``untrained: true``."""
    has_weights = config.model.weights or config.model.checkpoint
    return "fit" not in config.stage and not has_weights and not config.get("untrained")


def _trainer_limits(trainer: Mapping[str, Any]) -> Iterator[str]:
    """Limits that leave nothing to train, or a part of a split to evaluate."""
    for key, advice in PART_OF_SPLIT.items():
        value = trainer.get(key)
        is_whole = value is None or value == 0 if key != "limit_test_batches" else value is None
        if not is_whole and not (isinstance(value, float) and value == 1.0):
            yield f"trainer.{key}={value} leaves out a part of a split, of which the metrics need the whole; {advice}"
    for key in ("limit_train_batches", "max_steps"):
        if trainer.get(key) == 0:
            yield f"trainer.{key}=0 trains nothing; leave it out, or test a checkpoint with stage=[test]"


def _unused_by_a_bench(config: DictConfig) -> list[str]:
    """A bench makes its own data: settings of a model would be ignored."""
    if not is_bench(config):
        return []
    for group in ("model", "dataset", "metric", "index", "callbacks", "trainer"):
        if any(value is not None for value in (config.get(group) or {}).values()):  # dataset.subset is null everywhere
            return [f"a bench runs without {group}, which would have no effect; leave it out, or use experiment=BENCH"]
    if any(value != DEFAULTS.get(key) for key, value in (config.get("throughput") or {}).items()):
        return ["a bench runs without throughput, which would have no effect; leave it out"]
    if features_name(config):
        return ["a bench runs without features, which would have no effect; leave it out, or use experiment=BENCH"]
    return [f"a bench has no stages, but stage is {config.stage}; leave it out"] if config.stage else []


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
