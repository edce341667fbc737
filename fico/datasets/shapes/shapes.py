"""The embedded data set: invented scenes with captions and labels, made on first use and kept in the cache.

Nothing is downloaded. A seed gives the scenes, Pillow paints them, and what lies in the cache is an ordinary
folder in Karpathy's form (``images/``, ``dataset_shapes.json``, ``labels.npz``), read by the same reader as
real data.

A scene has two to five objects of one to three kinds before one of eight backgrounds. Each has five captions:
its objects and their colours; how one object lies to another; where objects lie; the background and how many
objects; one object closely.

Hard enough to tell models apart:

- Three scenes in ten differ from an earlier scene of the split in one point only: two places, one colour, one
  kind or the background. A bag of words cannot tell exchanged positions, a relation can.
- No caption says everything, several scenes fit most captions, and words have synonyms, so no model reaches
  R@1 = 1.

Easy enough to learn from the fixed descriptors of `fico.features`, without pretrained weights:

- Colours are pure, backgrounds large, and a kind has favourite colours, so that colour histograms are informative.
- The words are few (150), most of them seen by the hundred in training.

The 20 categories (14 kinds, two textures, three backgrounds, "nested") fall off like Zipf's law and overlap
as those of photographs do: about 2.3 an image, the most frequent in two images of five, the rarest in one of
twenty-five. About a third of all image pairs share a category, which is what chance reaches at category
level.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from fico.datasets.base import CaptionsPerImage, RetrievalSplit, SplitReader
from fico.datasets.karpathy.karpathy import Karpathy
from fico.datasets.shapes.captions import captions
from fico.datasets.shapes.render import render
from fico.datasets.shapes.scenes import CLASSES, Scene, categories, draw_scene, vary_scene
from fico.datasets.shapes.size import FEWEST_IMAGES, VERSION, require_resources, shapes_folder, split_counts
from fico.datasets.words import caption_words
from fico.errors import UsageError
from fico.util.cached_folder import ensure_folder
from fico.util.progress import track

VARIED_FRACTION = 0.3


@dataclass(frozen=True, slots=True)
class SceneRecord:
    """A scene with its id, split and captions."""

    id: str
    number: int
    split: str
    scene: Scene
    captions: tuple[str, ...]


class Shapes(SplitReader):
    """Invented scenes; see the module's text.

    Args:
        images: Training images. A tenth as many validate and a quarter as many test, at least 20 each.
        seed: Of scenes, captions and pictures.
        root: Folder in which the data set's folder is made; default: the user's cache.
        captions_per_image: ``"all"`` (five), or an integer to keep only that many.
        progress: Show a bar while making it.

    Raises:
        UsageError: ``images`` is not an integer from 20 or ``seed`` none from 0; or, when the scenes are made, so many
            need more memory or disk than is free.
    """

    def __init__(
        self,
        images: int = 2000,
        seed: int = 0,
        root: str | Path | None = None,
        captions_per_image: CaptionsPerImage = "all",
        progress: bool = True,
    ) -> None:
        if type(images) is not int or images < FEWEST_IMAGES:
            raise UsageError(f"dataset.images is {images!r}; give a whole number from {FEWEST_IMAGES}")
        if type(seed) is not int or seed < 0:
            raise UsageError(f"dataset.seed is {seed!r}; give a whole number from 0")
        self.images = images
        self.seed = seed
        self.captions_per_image = captions_per_image
        self.progress = progress
        super().__init__(shapes_folder(images, seed, root), "shapes")

    @property
    def counts(self) -> dict[str, int]:
        """Images of each split."""
        return split_counts(self.images)

    def scenes(self) -> Iterator[SceneRecord]:
        """Draw all scenes and captions, without pictures; the same at each call."""
        number = 0
        for split, count in self.counts.items():
            random = Random(f"{VERSION} {self.seed} {split}")  # a string is hashed without Python's salt
            drawn: list[Scene] = []
            for _ in range(count):
                is_varied = bool(drawn) and random.random() < VARIED_FRACTION
                scene = vary_scene(random, random.choice(drawn)) if is_varied else draw_scene(random)
                drawn.append(scene)
                written = tuple(captions(random, scene))
                yield SceneRecord(f"shapes_{number:06d}", number, split, scene, written)
                number += 1

    def _read_split(self, name: str) -> RetrievalSplit:
        """Read the split, making the data set first if it is not in the cache."""
        return self._reader.split(name)

    @cached_property
    def _reader(self) -> Karpathy:
        about = {"generator": VERSION, "images": self.images, "seed": self.seed, "counts": self.counts}
        require_resources(self.images, self.root)
        ensure_folder(self.root, self._write, about)
        return Karpathy(self.root, name=self.name, captions_per_image=self.captions_per_image)

    def _write(self, folder: Path) -> None:
        (folder / "images").mkdir()
        records = list(self.scenes())
        for record in track(records, len(records), "Painting shapes", is_shown=self.progress):
            picture = render(np.random.default_rng([VERSION, self.seed, record.number]), record.scene)
            picture.save(folder / "images" / f"{record.id}.jpg", quality=90, subsampling=0)
        text = json.dumps({"dataset": "shapes", "images": [_entry(record) for record in records]})
        (folder / "dataset_shapes.json").write_text(text, encoding="utf-8")
        np.savez_compressed(
            folder / "labels.npz",
            image_ids=np.array([record.id for record in records]),
            labels=np.array([categories(record.scene) for record in records], dtype=np.uint8),
            classes=np.array(CLASSES),
        )


def _entry(record: SceneRecord) -> dict[str, Any]:
    sentences = [
        {"raw": text, "tokens": caption_words(text), "imgid": record.number, "sentid": 5 * record.number + position}
        for position, text in enumerate(record.captions)
    ]
    return {
        "filename": f"{record.id}.jpg",
        "imgid": record.number,
        "split": record.split,
        "sentids": [sentence["sentid"] for sentence in sentences],
        "sentences": sentences,
    }
