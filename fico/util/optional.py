"""Packages that only some installations have, and the extra that brings them."""

from collections.abc import Iterator
from contextlib import contextmanager

from fico.errors import UsageError


class MissingExtra(UsageError, ImportError):
    """An optional package cannot be imported; the message names the extra that brings it."""


@contextmanager
def requires_extra(*names: str) -> Iterator[None]:
    """Context of imports of optional packages, whose failure names the extra that brings them.

    Args:
        names: The extra of ``pyproject.toml``; several where any one of them will do.

    Raises:
        MissingExtra: A package is missing or broken.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtra(_sentence(f"{str(error.name).partition('.')[0]} is not installed", names)) from error
    except (ImportError, RuntimeError) as error:  # a torchvision of another build than torch raises RuntimeError
        raise MissingExtra(_sentence(f"an import failed ({error})", names)) from error


def missing_extra(error: BaseException | None) -> MissingExtra | None:
    """The missing extra that an error came from, or None."""
    while error is not None and not isinstance(error, MissingExtra):
        error = error.__cause__ or error.__context__
    return error


def _sentence(what: str, names: tuple[str, ...]) -> str:
    commands = " or ".join(f'pip install "fico[{name}]"' for name in names)
    return f'{what}; it comes with the extra {" or ".join(names)}: {commands}, in a checkout -e ".[{names[0]}]"'
