"""Flickr8k, from Karpathy's JSON or from the files of its release."""

from pathlib import Path

from fico.datasets.karpathy.layouts import LAYOUTS
from fico.datasets.karpathy.reader import Karpathy
from fico.datasets.karpathy.split_json import ImageRecord, find_json
from fico.datasets.karpathy.token_file import find_tokens, read_tokens


class Flickr8k(Karpathy):
    """Flickr8k: 6,000 images to train on, 1,000 to validate and 1,000 to test, five captions each.

    The folder holds the images in ``Flicker8k_Dataset/`` (so spelt in the release) or ``images/`` and either
    ``dataset_flickr8k.json`` or ``Flickr8k.token.txt`` with ``Flickr_8k.{train,dev,test}Images.txt``.

    Args: as of `Karpathy`.

    Raises:
        DataError: The folder, its captions or its split files are missing.

    Source:
        Hodosh, Young and Hockenmaier, JAIR 2013.
    """

    image_folders = LAYOUTS["flickr8k"].image_folders

    def _find(self, root: Path) -> Path:
        layout = LAYOUTS["flickr8k"]
        return layout.find_json(root) or find_tokens(root, layout.captions) or find_json(root)

    def _read_records(self) -> list[ImageRecord]:
        if ".json" in self.json_path.suffixes:
            return super()._read_records()
        return read_tokens(self.json_path)
