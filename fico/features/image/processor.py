"""Images through the image processor of a model's checkpoint folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from fico.datasets.base import RetrievalSplit
from fico.errors import DataError
from fico.features.base import ImageReader
from fico.features.image.pixels import IN_MEMORY_BYTES, Pixels
from fico.images.decode import open_rgb
from fico.networks.blocks.patches import pack_patches
from fico.networks.checkpoint_io.model_folder import model_folder
from fico.util.optional import requires_extra
from fico.util.progress import track


def image_reader(source: str | Path | None, size: int, augment: bool = False) -> ImageReader:
    """Build the processor of a checkpoint, or without one plain pixels.

    Args:
        source: Folder or hub name; None: squash to a square, mean and std 0.5.
        size: Side of that square, in pixels; not used with ``source``.
        augment: Vary the training images; not with ``source``, whose processor makes each image the same always.
    """
    if source is None:
        return Pixels(size=size, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), augment=augment)
    return ProcessorPixels(source)


class ProcessorPixels:
    """Images as the checkpoint's processor makes them: size, crop or squash, filter, mean and deviation.

    Args:
        source: Folder that holds ``preprocessor_config.json``, or a hub name.

    Raises:
        DataError: The file is missing or names no image processor.
    """

    sizes: Mapping[str, int] = {}

    def __init__(self, source: str | Path) -> None:
        with requires_extra("models"):
            from transformers import AutoImageProcessor

        folder = model_folder(source)
        if not any((folder / name).is_file() for name in ("preprocessor_config.json", "processor_config.json")):
            raise DataError(f"{folder} has no preprocessor_config.json; put that of the checkpoint there")
        try:
            # Pillow, not torchvision: the two filter differently, and only one is always there.
            self._processor: Any = AutoImageProcessor.from_pretrained(folder, backend="pil")
        except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
            raise DataError(f"{folder} names no usable image processor ({str(error).splitlines()[0]})") from error
        self.origin = f"pixels by {type(self._processor).__name__} of {Path(source).name}"

    def rows(self, split: RetrievalSplit, *, progress: bool = True) -> "ProcessedRows":
        """The images of a split. A small split is made now; of a large one each image on access.

        Raises:
            DataError: A file is missing or broken (its id is named); of a large split on access.
        """
        files = list(zip(split.image_ids, split.image_paths, strict=True))
        first = self.row(*files[0])
        if len(files) * first.nbytes > IN_MEMORY_BYTES:
            return ProcessedRows(self, files, None)
        rows = np.empty((len(files), *first.shape), np.float32)
        for row, file in enumerate(track(files, len(files), f"Decoding {split.name} images", is_shown=progress)):
            rows[row] = self.row(*file)
        return ProcessedRows(self, files, rows)

    def row(self, image_id: str, path: Path) -> Float32[np.ndarray, "..."]:
        """One image as the model takes it: ``3 height width``, or packed patches where it keeps the aspect.

        Raises:
            DataError: The file is missing or broken.
        """
        made = self._processor(images=open_rgb(path, image_id), return_tensors="np")
        pixels = np.asarray(made["pixel_values"][0], np.float32)
        return pack_patches(pixels, made["spatial_shapes"][0]) if "spatial_shapes" in made else pixels


class ProcessedRows(Sequence[np.ndarray]):
    """One array for each image of a split.

    Args:
        pixels: How an image is made.
        files: Id and path of each image.
        rows: The arrays, where they were made already.
    """

    row_bytes = 0  # nothing is stored but the image files

    def __init__(
        self, pixels: ProcessorPixels, files: Sequence[tuple[str, Path]], rows: Float32[np.ndarray, "images ..."] | None
    ) -> None:
        self._pixels, self._files, self._rows = pixels, files, rows

    @property
    def is_lazy(self) -> bool:
        """Whether each row costs reading a file, so that several processes should."""
        return self._rows is None

    def for_training(self) -> "ProcessedRows":
        """The same images: a processor varies nothing."""
        return self

    def varied(self, row: int, random: np.random.Generator) -> Float32[np.ndarray, "..."]:
        """The image itself."""
        return self[row]

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, row: int) -> Float32[np.ndarray, "..."]:  # type: ignore[override]
        return self._pixels.row(*self._files[row]) if self._rows is None else self._rows[row]
