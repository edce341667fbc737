"""Flickr8k: the split from Karpathy's archive, images on request only."""

from fico.datasets.recipes.layout import Layout
from fico.datasets.recipes.recipe import FLICKR_LICENCE, Licensed, Recipe, karpathy_captions

RECIPE = Recipe(
    layout=Layout("dataset_flickr8k", ("Flicker8k_Dataset", "Flickr8k_Dataset"), ("Flickr8k.token.txt",)),
    sources=(karpathy_captions("flickr8k", 9_600_000),),
    licensed=Licensed(
        "https://forms.illinois.edu/sec/1713398",
        "Flickr8k_Dataset.zip",
        "Flick*8k_Dataset*",
        ("Flicker8k_Dataset", "Flickr8k_Dataset", "images"),
        8_091,
        1_120_000_000,
    ),
    licence=FLICKR_LICENCE,
    images={"train": 6_000, "val": 1_000, "test": 1_000},
    captions={"train": 30_000, "val": 5_000, "test": 5_000},
)
