"""Errors of Hydra and OmegaConf as one sentence each."""

import difflib
import re
import traceback
from pathlib import Path
from typing import Any

from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from fico.errors import UsageError
from fico.experiment.config.launcher import missing_launcher

# Keys that users of Lightning type, by the key that does it here.
INSTEAD = {
    **{name: "model.module.optimizer.lr" for name in ("lr", "learning_rate", "model.lr", "model.learning_rate")},
    "model.optimizer.lr": "model.module.optimizer.lr",
    **{name: "model.epochs" for name in ("epochs", "max_epochs", "trainer.max_epochs", "trainer.epochs")},
    **{name: "model.batch_size" for name in ("batch_size", "dataset.batch_size", "trainer.batch_size")},
    "trainer.gradient_clip_val": "model.gradient_clip",
    "bits": "model.bits",
    **{name: "trainer.devices" for name in ("gpus", "devices", "trainer.gpus")},
    "accelerator": "trainer.accelerator",
    "root": "dataset.root",
    **{name: "dataset.root" for name in ("dataset.path", "dataset.dir", "dataset.folder")},
    **{name: "model.checkpoint" for name in ("checkpoint", "ckpt_path", "ckpt", "trainer.ckpt_path")},
    "weights": "model.weights",
    "resume": "run.resume",
}

CONF = Path(__file__).resolve().parents[3] / "conf"
_LISTED = re.compile(r"Could not load '(\w+)/")
_AMBIGUOUS = re.compile(r"Ambiguous value for argument '(.*?)=(.*?)'\n")
_OWN = (ConfigCompositionException, HydraException, OmegaConfBaseException)
_COMPOSING = ("hydra._internal.defaults_list", "hydra._internal.config_loader_impl", "hydra.core.override_parser")


class Stop(BaseException):
    """Carries a FicoError past Hydra, which would print the overrides before it, or warn of it and go on."""


def sentence(error: Exception) -> str:
    """One line for an error that Hydra or OmegaConf raised while composing.

    Args:
        error: What composing raised.

    Returns:
        Its statement, with the available options or the key that was probably meant.
    """
    cause = error.__cause__
    if (missing := missing_launcher(error)) is not None:
        return missing
    if _is_null_group(error):
        return "a group takes the name of an option, as model=ucch, and not null; leave out the override"
    if not isinstance(error, _OWN) and _is_composing(error):
        return f"the overrides of the command line do not fit together ({' '.join(str(error).split())[:200]})"
    if ambiguous := _AMBIGUOUS.match(str(error)):
        key, value = ambiguous.groups()
        advice = f"quote it, as \"{key}='{value}'\""
        return f"{key}={value} holds a comma, which separates the values of a sweep (-m); {advice}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if isinstance(cause, UsageError):
        return str(cause)
    if isinstance(error, MissingConfigException):
        if listed := _LISTED.search(lines[0]):  # one of several of a group, of which Hydra names no options
            group = CONF / listed[1]
            return f"{lines[0].rstrip('.')}; available: {', '.join(sorted(path.stem for path in group.glob('*.yaml')))}"
        options = lines[2 : lines.index("Config search path:")] if "Config search path:" in lines else []
        return f"{lines[0]}; available: {', '.join(options)}" if options else lines[0]
    if isinstance(cause, ConfigKeyError | ConfigAttributeError):  # its advice to append the key would mislead
        unknown = lines[0].rstrip(".")
        path = unknown.removesuffix("'").rsplit("'", maxsplit=1)[-1]
        return f"{unknown}: there is no such key{right_key(path, cause.parent_node or ())}"
    return " ".join(lines) or type(error).__name__


def is_wrong_usage(error: BaseException) -> bool:
    """Whether the command line or a YAML file is in error, not the program."""
    return isinstance(error, _OWN) or _is_composing(error) or missing_launcher(error) is not None


def _is_composing(error: BaseException) -> bool:
    """Whether Hydra failed in another way while it put the config together, as for ``features=[1,2]``."""
    frames = traceback.walk_tb(error.__traceback__)
    return isinstance(error, Exception) and any(
        f.f_globals.get("__name__", "").startswith(_COMPOSING) for f, _ in frames
    )


def _is_null_group(error: BaseException) -> bool:
    """Whether Hydra refused ``GROUP=null``, for which it has a bare ValueError."""
    return isinstance(error, ValueError) and str(error).startswith("Config group override must be")


def right_key(path: str, siblings: Any) -> str:
    """What to set instead of a key that does not exist, to follow its name in a sentence.

    Args:
        path: The key with its groups, as ``model.lr``.
        siblings: Keys that exist beside it.

    Returns:
        The key that does what users of Lightning expect of this one, else the nearest of its siblings; empty if
        none is near.
    """
    if path in INSTEAD:
        return f"; set {INSTEAD[path]}"
    if path == "model.bits":
        return "; this model returns floats, only hashing models such as ucch and clip_hash have a code length"
    return did_you_mean(path.rsplit(".", maxsplit=1)[-1], siblings)


def did_you_mean(key: str, keys: Any) -> str:
    """The known key nearest to a mistyped one, in parentheses; empty if none is near."""
    close = difflib.get_close_matches(key, [str(known) for known in keys], n=1)
    return f" (did you mean {close[0]}?)" if close else ""
