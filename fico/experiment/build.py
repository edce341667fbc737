"""Hydra's instantiate, with the errors that a user can mend left as they were raised."""

from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig

from fico.errors import FicoError, UsageError


def build(node: DictConfig | dict[str, Any], **given: Any) -> Any:
    """Build what a node's ``_target_`` names, and the nodes inside it first.

    Args:
        node: Its keys were checked against the signature before.
        given: Further arguments, which only the runner has.

    Returns:
        The object, or a partial of its class where the node says ``_partial_``.

    Raises:
        FicoError: As the constructor raised it.
        UsageError: The constructor refused a value in another way; the message names target and reason.
    """
    try:
        return instantiate(node, **given)
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, FicoError):
            raise cause from None
        reason = f"{cause}" if isinstance(cause, ValueError | TypeError) else " ".join(str(error).split())
        raise UsageError(f"{node['_target_']} cannot be built: {reason}") from error
