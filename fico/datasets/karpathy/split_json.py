"""Finding, reading and checking a split file in Karpathy's form."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fico.datasets.words import caption_words
from fico.errors import DataError, PathError
from fico.formats.text import read_json

SPLIT_NAMES = frozenset({"train", "restval", "val", "dev", "test"})


@dataclass(frozen=True, slots=True)
class Caption:
    """One sentence of an image."""

    id: str
    text: str
    tokens: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One image of the split file, with its captions in file order."""

    id: str
    filename: str
    filepath: str
    coco_id: int | None
    split: str
    captions: tuple[Caption, ...]


def find_json(root: Path) -> Path:
    """Give the split file of a folder: the only ``dataset*.json``, or else the only JSON; ``.gz`` is fine.

    Raises:
        DataError: The folder is missing, or holds no such file or several.
    """
    if root.is_file():
        return root
    if not root.is_dir():
        raise PathError(f"there is no folder {root}; prepare the data set there, or correct its path")
    for pattern in ("dataset*.json", "*.json"):
        found = sorted([*root.glob(pattern), *root.glob(f"{pattern}.gz")])
        if len(found) > 1:
            names = ", ".join(path.name for path in found)
            raise DataError(
                f"{root} holds {len(found)} split files ({names}); keep one, or give its path as dataset.root"
            )
        if found:
            return found[0]
    raise DataError(f"{root} holds no Karpathy JSON (dataset_*.json or .json.gz); prepare the data set there")


def read_records(path: Path, split_key: str) -> list[ImageRecord]:
    """Read and check all images of a split file.

    Args:
        path: JSON, plain or ``.gz``.
        split_key: The field that says which split an image is in.

    Raises:
        DataError: The file is not of Karpathy's form, no image has ``split_key``, an id occurs twice, a
            caption belongs to another image than its entry says, or an image has no caption. The id is named.
    """
    return check_records(path, read_split_file(path)["images"], split_key)


def check_records(path: Path, images: Sequence[dict[str, Any]], split_key: str) -> list[ImageRecord]:
    """Check the images of a split file that is read already.

    Args:
        path: Where they come from; named in errors.
        images: As in the file.
        split_key: As for `read_records`.

    Raises:
        DataError: As for `read_records`, save for the form of the file.
    """
    _check_split_key(path, images, split_key)
    records = [_record(path, row, image, split_key) for row, image in enumerate(images)]
    _check_unique(path, "image", [record.id for record in records])
    _check_unique(path, "caption", [caption.id for record in records for caption in record.captions])
    return records


def read_split_file(path: Path) -> dict[str, Any]:
    """Read a split file as it is; ``images`` is a list of at least one record.

    Raises:
        DataError: The file is missing or not of Karpathy's form.
    """
    content = read_json(path)
    images = content.get("images") if isinstance(content, dict) else None
    if not isinstance(images, list) or not images or not all(isinstance(image, dict) for image in images):
        raise DataError(f'{path} is not of Karpathy\'s form: it needs {{"images": [...]}} with at least one image')
    return dict(content)


def _check_split_key(path: Path, images: Sequence[dict[str, Any]], split_key: str) -> None:
    if any(split_key in image for image in images):
        return
    likely = sorted({key for image in images for key, value in image.items() if _is_split(value)})
    raise DataError(
        f"no image of {path} has the field {split_key!r} (dataset.split_key); "
        f"fields that look like splits: {', '.join(likely) or 'none'}"
    )


def _is_split(value: object) -> bool:
    return isinstance(value, str) and value in SPLIT_NAMES


def _record(path: Path, row: int, image: dict[str, Any], split_key: str) -> ImageRecord:
    filename = image.get("filename")
    if not isinstance(filename, str) or not filename:
        raise DataError(f"image {row} of {path} has no filename; give each image the name of its file")
    coco_id = image.get("cocoid")
    if coco_id is not None and not str(coco_id).isdecimal():
        raise DataError(f"image {row} of {path} has the cocoid {coco_id!r}; it must be a whole number")
    image_id = Path(filename).stem if coco_id is None else str(coco_id)
    where = f"image {image_id} ({filename}) of {path}"
    split = image.get(split_key)
    if not isinstance(split, str):
        raise DataError(f"{where} has no {split_key!r}; give each image its split")
    return ImageRecord(
        id=image_id,
        filename=filename,
        filepath=str(image.get("filepath") or ""),
        coco_id=None if coco_id is None else int(coco_id),
        split=split,
        captions=_captions(where, image, image_id),
    )


def _captions(where: str, image: dict[str, Any], image_id: str) -> tuple[Caption, ...]:
    sentences = image.get("sentences")
    if not isinstance(sentences, list) or not sentences:
        raise DataError(f"{where} has no caption; take the image out or give it sentences")
    captions = []
    for position, sentence in enumerate(sentences):
        text = sentence.get("raw") if isinstance(sentence, dict) else None
        if not isinstance(text, str) or not text.strip():
            raise DataError(f"caption {position} of {where} has no text ('raw'); take it out or write it")
        stated = sentence.get("imgid", image.get("imgid"))
        if stated != image.get("imgid", stated):
            raise DataError(
                f"caption {sentence.get('sentid', position)} is under {where}, imgid {image['imgid']}, "
                f"but says that it belongs to imgid {stated}; correct one of the two"
            )
        captions.append(_caption(sentence, text.strip(), f"{image_id}#{position}"))
    return tuple(captions)


def _caption(sentence: dict[str, Any], text: str, fallback_id: str) -> Caption:
    number = sentence.get("sentid", -1)
    tokens = sentence.get("tokens")
    return Caption(
        id=fallback_id if number == -1 else str(number),  # -1: a caption that the original release did not number
        text=text,
        tokens=tuple(str(word).lower() for word in tokens) if tokens else caption_words(text),
    )


def _check_unique(path: Path, what: str, ids: Sequence[str]) -> None:
    seen: set[str] = set()
    for item in ids:
        if item in seen:
            raise DataError(f"{what} id {item} occurs twice in {path}; ids must be unique")
        seen.add(item)
