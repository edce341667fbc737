"""Where a data set comes from, and what a complete copy of it holds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fico.datasets.recipes.layout import Layout

KARPATHY = "https://cs.stanford.edu/people/karpathy/deepimagesent/caption_datasets.zip"
FLICKR_LICENCE = (
    "images under Flickr's terms, from the University of Illinois, for non-commercial research and education"
)


@dataclass(frozen=True, slots=True)
class Source:
    """An archive on a public server.

    Args:
        url: Its address.
        download_bytes: Its size, for the forecast; what the server says takes precedence.
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
    """Images that are available on request only.

    Args:
        page: Where to request them.
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
        layout: Where its parts lie in its folder.
        sources: Public archives.
        licensed: Images that are available on request only.
        licence: What the user should know of it.
        images: How many images each split has when it is whole.
        captions: How many captions each split has then.
        same_images: Folders of another release that holds the same images, with the number of images in each.
    """

    layout: Layout
    sources: tuple[Source, ...]
    licensed: Licensed | None
    licence: str
    images: Mapping[str, int] = field(default_factory=dict)
    captions: Mapping[str, int] = field(default_factory=dict)
    same_images: Mapping[str, int] = field(default_factory=dict)


def karpathy_captions(name: str, unpacked_bytes: int) -> Source:
    """Captions and split of a data set from Karpathy's archive."""
    return Source(KARPATHY, 36_750_000, unpacked_bytes, (f"dataset_{name}.json",))


def count_images(folder: Path) -> int:
    """Count the JPEG files of a folder; hidden files, such as half-written ones, do not count."""
    if not folder.is_dir():
        return 0
    return sum(1 for path in folder.iterdir() if path.suffix.lower() in (".jpg", ".jpeg") and path.name[0] != ".")
