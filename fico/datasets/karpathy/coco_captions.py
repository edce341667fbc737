"""Caption annotations of COCO's form, and the Karpathy form of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fico.datasets.words import caption_words
from fico.errors import DataError
from fico.formats.text import read_json


def find_captions(root: Path) -> tuple[Path, ...]:
    """Give the files ``annotations/captions*.json``."""
    return tuple(sorted((root / "annotations").glob("captions*.json")))


def karpathy_form(files: Sequence[Path]) -> dict[str, Any]:
    """Put caption annotations into Karpathy's form, without splits.

    Args:
        files: Of ``{"images": [{"id", "file_name"}], "annotations": [{"id", "image_id", "caption"}]}``.

    Returns:
        Images in ascending order of their ids, captions of each in ascending order of theirs.

    Raises:
        DataError: A file is not of that form, an image is in two files, or a caption belongs to no image.
    """
    images: dict[int, dict[str, Any]] = {}
    for file in files:
        content = read_json(file)
        try:
            named = {int(image["id"]): str(image["file_name"]) for image in content["images"]}
            captions = sorted((int(c["id"]), int(c["image_id"]), str(c["caption"])) for c in content["annotations"])
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{file} holds no captions of COCO's form ({error}); fetch it again") from error
        if twice := images.keys() & named.keys():
            raise DataError(f"{file} lists image {min(twice)}, which another of the caption files lists too; keep one")
        images |= {
            number: {"filename": name, "cocoid": number, "sentids": [], "sentences": []}
            for number, name in named.items()
        }
        for number, image, text in captions:
            if image not in named:
                raise DataError(f"caption {number} of {file} belongs to image {image}, which the file does not list")
            images[image]["sentids"].append(number)
            sentence = {"raw": text.strip(), "tokens": list(caption_words(text)), "sentid": number}
            images[image]["sentences"].append(sentence)
    return {"dataset": "captions", "images": [images[number] for number in sorted(images)]}
