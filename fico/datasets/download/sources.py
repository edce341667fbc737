"""Where the well-known data sets come from, and what a whole copy of them holds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

KARPATHY = "https://cs.stanford.edu/people/karpathy/deepimagesent/caption_datasets.zip"
FLICKR_LICENCE = (
    "images under Flickr's terms, from the University of Illinois, for non-commercial research and education"
)


@dataclass(frozen=True, slots=True)
class Source:
    """An archive on a public server.

    Args:
        url: Its address.
        download_bytes: Its size, for the forecast; the server's own word goes before.
        unpacked_bytes: What it takes unpacked, as far as it is unpacked.
        wanted: Names of the files to unpack; none takes all.
        folder: Below the data set's folder: where its images lie then.
        images: How many images that folder holds when it is whole.
        known_hash: ``md5:...`` or ``sha256:...``; None where none is published.
    """

    url: str
    download_bytes: int
    unpacked_bytes: int
    wanted: tuple[str, ...] = ()
    folder: str = ""
    images: int = 0
    known_hash: str | None = None

    @property
    def name(self) -> str:
        """The archive's file name."""
        return self.url.rsplit("/", maxsplit=1)[-1]

    def is_unpacked(self, root: Path, folder_aliases: tuple[str, ...] = ()) -> bool:
        """Whether all of it lies in the data set's folder, by names and counts."""
        if self.images:
            return any(count_images(root / folder) == self.images for folder in (self.folder, *folder_aliases))
        return all(any((root / folder / name).is_file() for folder in ("", "annotations")) for name in self.wanted)


@dataclass(frozen=True, slots=True)
class Licensed:
    """Images that are given out on request only.

    Args:
        page: Where to ask for them.
        archive: Name of the archive that one then gets.
        pattern: Of the names under which people keep it.
        folders: Folder names in which its images lie.
        images: How many there are.
        download_bytes: Its size, about.
    """

    page: str
    archive: str
    pattern: str
    folders: tuple[str, ...]
    images: int
    download_bytes: int


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that a data set consists of.

    Args:
        sources: Public archives.
        licensed: Images that are given out on request only.
        licence: What the user should know of it.
        images: How many images each split has when it is whole.
        captions: How many captions each split has then.
    """

    sources: tuple[Source, ...]
    licensed: Licensed | None
    licence: str
    images: Mapping[str, int] = field(default_factory=dict)
    captions: Mapping[str, int] = field(default_factory=dict)


def _captions(name: str, unpacked_bytes: int) -> Source:
    return Source(KARPATHY, 36_750_000, unpacked_bytes, (f"dataset_{name}.json",))


RECIPES = {
    "coco": Recipe(
        (
            _captions("coco", 144_000_000),
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
        None,
        "annotations: CC BY 4.0, COCO Consortium; each image has a Flickr licence of its own, named in the annotations",
        {"train": 113_287, "val": 5_000, "test": 5_000},
        {"train": 566_747, "val": 25_010, "test": 25_010},
    ),
    "flickr30k": Recipe(
        (_captions("flickr30k", 38_000_000),),
        Licensed(
            "https://forms.illinois.edu/sec/229675",
            "flickr30k-images.tar.gz",
            "flickr30k*images*",
            ("flickr30k-images", "flickr30k_images", "images"),
            31_783,
            4_440_000_000,
        ),
        FLICKR_LICENCE,
        {"train": 29_000, "val": 1_014, "test": 1_000},
        {"train": 145_000, "val": 5_070, "test": 5_000},
    ),
    "flickr8k": Recipe(
        (_captions("flickr8k", 9_600_000),),
        Licensed(
            "https://forms.illinois.edu/sec/1713398",
            "Flickr8k_Dataset.zip",
            "Flick*8k_Dataset*",
            ("Flicker8k_Dataset", "Flickr8k_Dataset", "images"),
            8_091,
            1_120_000_000,
        ),
        FLICKR_LICENCE,
        {"train": 6_000, "val": 1_000, "test": 1_000},
        {"train": 30_000, "val": 5_000, "test": 5_000},
    ),
}


def count_images(folder: Path) -> int:
    """Count the JPEG files of a folder; hidden files, such as half-written ones, do not count."""
    if not folder.is_dir():
        return 0
    return sum(1 for path in folder.iterdir() if path.suffix.lower() in (".jpg", ".jpeg") and path.name[0] != ".")
