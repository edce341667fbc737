"""Hydra's instantiate, with the errors that a user can fix left as they were raised."""

from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig

from fico.errors import FicoError, UsageError


def build(node: DictConfig | dict[str, Any], **objects: Any) -> Any:
    """Build what a node's ``_target_`` names, nested nodes first.

    Args:
        node: Its keys were checked against the signature before.
        objects: Arguments that no config can hold; they replace keys of the same name.

    Returns:
        The object; a partial of its class where the node says ``_partial_`` and there are no ``objects``.

    Raises:
        FicoError: As the constructor raised it.
        UsageError: The constructor refused a value in another way; the message names target and reason.
    """
    try:
        return instantiate(node, _partial_=True)(**objects) if objects else instantiate(node)
    except FicoError:
        raise
    except Exception as error:
        cause = error.__cause__ if isinstance(error, InstantiationException) else error
        if isinstance(cause, FicoError):
            raise cause from None
        reason = " ".join(str(cause or error).split())
        raise UsageError(f"{node['_target_']} cannot be built: {reason}") from error
