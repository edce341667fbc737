"""Flickr30K, from Karpathy's JSON or from the files of its release."""

from pathlib import Path

from fico.datasets.karpathy.layouts import LAYOUTS
from fico.datasets.karpathy.reader import Karpathy
from fico.datasets.karpathy.split_json import ImageRecord, find_json
from fico.datasets.karpathy.token_file import find_tokens, read_tokens


class Flickr30k(Karpathy):
    """Flickr30K in Karpathy's split: 29,000 images to train on, 1,014 to validate, 1,000 to test, five captions each.

    The folder holds the images in ``flickr30k-images/`` or ``images/`` and either ``dataset_flickr30k.json`` or
    ``results_20130124.token`` with files that name the images of each split; see `read_tokens`. The release has no
    category labels: those that a model gave to the images are taken from ``labels.npz``.

    Args: as of `Karpathy`.

    Raises:
        DataError: The folder, its captions or its split files are missing.

    Source:
        Young et al., TACL 2014; split of Karpathy and Fei-Fei, CVPR 2015.
    """

    image_folders = LAYOUTS["flickr30k"].image_folders

    def _find(self, root: Path) -> Path:
        layout = LAYOUTS["flickr30k"]
        return layout.find_json(root) or find_tokens(root, layout.captions) or find_json(root)

    def _read_records(self) -> list[ImageRecord]:
        if ".json" in self.json_path.suffixes:
            return super()._read_records()
        return read_tokens(self.json_path)
