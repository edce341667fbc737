"""Archives in the layout of webdataset: the image and the caption of a sample share the name before the first dot."""

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fico.datasets.pairs.embedded import EmbeddedImage
from fico.datasets.pairs.pair import IMAGE_SUFFIXES, caption_lines
from fico.errors import DataError

TEXTS = ("txt", "text", "caption")
_IMAGES = frozenset(suffix[1:] for suffix in IMAGE_SUFFIXES)


def read_samples(path: Path) -> Iterator[EmbeddedImage]:
    """Read the samples of a tar, plain or compressed, such as ``000012.jpg`` and ``000012.txt``.

    Captions stand in a ``.txt``, one a line, else under ``caption`` or ``text`` of a ``.json``, as text or list.
    Samples without an image are ignored. Nothing is unpacked under a name that the archive chooses.

    Raises:
        DataError: The archive is missing or damaged, or a sample has an image but no caption.
    """
    parts: dict[str, bytes] = {}
    current = ""
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                if not member.isfile():
                    continue
                folder, _, file = member.name.rpartition("/")
                stem, _, kind = file.partition(".")
                key = f"{folder}/{stem}".removeprefix("./").removeprefix("/")
                if key != current and parts:
                    yield from _sample(path, current, parts)
                    parts = {}
                current = key
                if (kind := kind.lower()) in _IMAGES or kind in (*TEXTS, "json"):
                    parts[kind] = archive.extractfile(member).read()  # type: ignore[union-attr]
            yield from _sample(path, current, parts)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise DataError(f"{path} is no readable tar ({str(error).partition(':')[0]}); fetch it again") from error


def _sample(path: Path, key: str, parts: dict[str, bytes]) -> Iterator[EmbeddedImage]:
    kind = next((kind for kind in parts if kind in _IMAGES), None)
    if kind is None:
        return
    origin = f"sample {key} of {path}"
    try:
        captions = _captions(parts)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{origin} has a caption that is no UTF-8 or no JSON ({error}); write it again") from error
    if not captions:
        raise DataError(
            f"{origin} has no caption; add {key}.txt next to it, or 'caption' in {key}.json, or take it out"
        )
    yield EmbeddedImage(key, f"{key}.{kind}", parts[kind], captions, "", origin)


def _captions(parts: dict[str, bytes]) -> list[str]:
    for kind in TEXTS:
        if kind in parts:
            return caption_lines(parts[kind].decode("utf-8-sig"))
    content: Any = json.loads(parts["json"]) if "json" in parts else {}
    content = content if isinstance(content, dict) else {}
    held: Any = next((content[key] for key in ("caption", "captions", "text") if content.get(key)), [])
    texts = held if isinstance(held, list) else [held]
    return [text.strip() for text in texts if isinstance(text, str) and text.strip()]
