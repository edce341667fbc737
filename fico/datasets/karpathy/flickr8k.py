"""Flickr8k, from Karpathy's JSON or from the files of its release."""

from fico.datasets.karpathy.karpathy import Karpathy
from fico.datasets.recipes.flickr8k import RECIPE


class Flickr8k(Karpathy):
    """Flickr8k: 6,000 images to train on, 1,000 to validate and 1,000 to test, five captions each.

    The folder holds the images in ``Flicker8k_Dataset/`` (so spelt in the release) or ``images/`` and either
    ``dataset_flickr8k.json`` or ``Flickr8k.token.txt`` with ``Flickr_8k.{train,dev,test}Images.txt``.

    Args: as for `Karpathy`.

    Raises:
        DataError: The folder, its captions or its split files are missing.

    Source:
        Hodosh, Young and Hockenmaier, JAIR 2013.
    """

    layout = RECIPE.layout
