"""A file's digest in a small file beside it, in the form of the command ``sha256sum``."""

from pathlib import Path

from fico.errors import DataError
from fico.util.atomic import atomic_write
from fico.util.digests.cached import file_digests


def digest_file(path: Path) -> Path:
    """The file beside ``path`` that holds its digest."""
    return path.with_name(f"{path.name}.sha256")


def write_digest_file(path: Path) -> None:
    """Write the digest of a file beside it, in the form of the command ``sha256sum``, which checks it too."""
    with atomic_write(digest_file(path)) as temporary:
        temporary.write_text(f"{file_digests([path])[0]}  {path.name}\n", encoding="utf-8")


def check_digest_file(path: Path) -> None:
    """Refuse a file that is not the one whose digest lies beside it; without one it is taken as it is.

    Raises:
        DataError: The digest differs.
    """
    sidecar = digest_file(path)
    if sidecar.is_file():
        digest = sidecar.read_text(encoding="utf-8", errors="replace").split(" ")[0]
        if digest != file_digests([path])[0]:
            raise DataError(
                f"{path} is not the file whose SHA-256 {sidecar.name} holds; copy both again, or delete {sidecar.name} "
                "if you replaced the weights"
            )
