"""MS-COCO 2014: annotations and images from its own server, the split from Karpathy's archive."""

from fico.datasets.recipes.layout import Layout
from fico.datasets.recipes.recipe import Recipe, Source, karpathy_captions

RECIPE = Recipe(
    layout=Layout(
        "dataset_coco",
        (
            *("train2014", "val2014", "train2017", "val2017"),
            *("images/train2014", "images/val2014", "images/train2017", "images/val2017"),
        ),
    ),
    sources=(
        karpathy_captions("coco", 144_000_000),
        Source(
            "http://images.cocodataset.org/annotations/annotations_trainval2014.zip",
            252_873_000,
            590_000_000,
            tuple(f"{kind}_{part}2014.json" for kind in ("captions", "instances") for part in ("train", "val")),
        ),
        Source(
            "http://images.cocodataset.org/zips/val2014.zip",
            6_645_014_000,
            6_660_000_000,
            folder="val2014",
            images=40_504,
            known_hash="md5:a3d79f5ed8d289b7a7554ce06a5782b3",
        ),
        Source(
            "http://images.cocodataset.org/zips/train2014.zip",
            13_510_574_000,
            13_540_000_000,
            folder="train2014",
            images=82_783,
            known_hash="md5:0da8c0bd3d6becc4dcb32757491aca88",
        ),
    ),
    licensed=None,
    licence="annotations: CC BY 4.0, COCO Consortium; each image has a Flickr licence of its own, named in the "
    "annotations",
    images={"train": 113_287, "val": 5_000, "test": 5_000},
    captions={"train": 566_747, "val": 25_010, "test": 25_010},
    same_images={"train2017": 118_287, "val2017": 5_000},
)
