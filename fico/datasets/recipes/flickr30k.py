"""Flickr30K: the split from Karpathy's archive, images on request only."""

from fico.datasets.recipes.layout import Layout
from fico.datasets.recipes.recipe import FLICKR_LICENCE, Licensed, Recipe, karpathy_captions

RECIPE = Recipe(
    layout=Layout(
        "dataset_flickr30k", ("flickr30k-images", "flickr30k_images"), ("results_20130124.token", "results.token")
    ),
    sources=(karpathy_captions("flickr30k", 38_000_000),),
    licensed=Licensed(
        "https://forms.illinois.edu/sec/229675",
        "flickr30k-images.tar.gz",
        "flickr30k*images*",
        ("flickr30k-images", "flickr30k_images", "images"),
        31_783,
        4_440_000_000,
    ),
    licence=FLICKR_LICENCE,
    images={"train": 29_000, "val": 1_014, "test": 1_000},
    captions={"train": 145_000, "val": 5_070, "test": 5_000},
)
