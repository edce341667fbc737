"""Flickr30K, from Karpathy's JSON or from the files of its release."""

from fico.datasets.karpathy.karpathy import Karpathy
from fico.datasets.recipes.flickr30k import RECIPE


class Flickr30k(Karpathy):
    """Flickr30K in Karpathy's split: 29,000 images to train on, 1,014 to validate, 1,000 to test, five captions each.

    The folder holds the images in ``flickr30k-images/`` or ``images/`` and either ``dataset_flickr30k.json`` or
    ``results_20130124.token`` with files that name the images of each split; see `read_tokens`. The release has no
    category labels: those that a model gave to the images are taken from ``labels.npz``.

    Args: as for `Karpathy`.

    Raises:
        DataError: The folder, its captions or its split files are missing.

    Source:
        Young et al., TACL 2014; split of Karpathy and Fei-Fei, CVPR 2015.
    """

    layout = RECIPE.layout
