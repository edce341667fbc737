"""What the page searches and offers as queries: a run's tested split, or the images of a folder."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from fico.errors import DataError, UsageError
from fico.images.decode import open_rgb
from fico.inference.gallery import Galleries, Images
from fico.inference.run import TrainedRun

THUMBNAIL = 256  # pixels of the longer side: twice what is shown, for dense displays
JPEG_QUALITY = 82


@dataclass(frozen=True, eq=False)
class Collection:
    """Images, and the captions that belong to them where these are known.

    Args:
        name: Data set and split, or the folder.
        image_ids: One for each image.
        image_paths: Files; empty where there are features alone.
        captions: Texts; none of a folder.
        caption_ids: One for each caption.
        positives: For each caption the row of its matching image.
    """

    name: str
    image_ids: tuple[str, ...]
    image_paths: tuple[Path, ...]
    captions: tuple[str, ...] = ()
    caption_ids: tuple[str, ...] = ()
    positives: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    @classmethod
    def of_split(cls, galleries: Galleries) -> "Collection":
        """The split that a run was tested on."""
        images, captions = galleries.images, galleries.captions
        return cls(galleries.name, images.ids, images.paths, captions.texts, captions.ids, galleries.positives)

    @classmethod
    def of_folder(cls, folder: Path, images: Images) -> "Collection":
        """The user's images."""
        return cls(str(folder), images.ids, images.paths)

    @property
    def size(self) -> str:
        """Number of images, and of captions where there are some."""
        captions = f", {len(self.captions):,} captions" if self.captions else ""
        return f"{len(self.image_ids):,} image{'' if len(self.image_ids) == 1 else 's'}{captions}"

    @cached_property
    def image_rows(self) -> dict[str, int]:
        """Row of each image by its id."""
        return {name: row for row, name in enumerate(self.image_ids)}

    @cached_property
    def caption_rows(self) -> dict[str, int]:
        """Row of each caption by its id."""
        return {name: row for row, name in enumerate(self.caption_ids)}

    def image_of(self, caption: int) -> frozenset[str]:
        """Id of the image that matches a caption."""
        return frozenset([self.image_ids[int(self.positives[caption])]])

    def captions_of(self, image: int) -> frozenset[str]:
        """Ids of the captions that match an image."""
        return frozenset(self.caption_ids[row] for row in np.flatnonzero(self.positives == image).tolist())

    def path(self, image: int) -> Path:
        """File of an image.

        Raises:
            DataError: There is none.
        """
        if not self.image_paths:
            raise DataError("the images of these runs are features without files; type a sentence or pick a caption")
        return self.image_paths[image]

    def picture(self, image: int) -> str | None:
        """Address of an image on the page; it changes with the file, so that the browser may keep the picture."""
        if not self.image_paths:
            return None
        try:
            return f"/pictures/{image}?{self.image_paths[image].stat().st_mtime_ns:x}"
        except OSError:
            return None

    def thumbnail(self, image: int) -> bytes:
        """A small JPEG.

        Raises:
            DataError: The file is missing or no image.
        """
        small = open_rgb(self.path(image), draft_side=THUMBNAIL)
        small.thumbnail((THUMBNAIL, THUMBNAIL))
        buffer = io.BytesIO()
        small.save(buffer, "JPEG", quality=JPEG_QUALITY)
        return buffer.getvalue()


def common_split(runs: Sequence[TrainedRun]) -> Collection:
    """The split that all runs were tested on.

    Raises:
        UsageError: They were tested on different ones.
    """
    first = Collection.of_split(runs[0].galleries)
    for run in runs[1:]:
        other = Collection.of_split(run.galleries)
        if (other.image_ids, other.captions) != (first.image_ids, first.captions):
            raise UsageError(
                f"{runs[0].folder} was tested on {first.name} ({first.size}) and {run.folder} on {other.name} "
                f"({other.size}); serve runs of one split, or give --images FOLDER"
            )
    return first
