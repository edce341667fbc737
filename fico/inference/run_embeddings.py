"""The embeddings of a finished run as the features of another model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from fico.datasets.base import RetrievalSplit
from fico.embeddings.manifest import read_manifest
from fico.errors import UsageError
from fico.features.cache import cached_rows
from fico.features.precomputed import Features
from fico.inference.run import TrainedRun, load_run

Side = Literal["image", "text"]
EMBEDDINGS = "embeddings"  # folder of a run
BLOCK = 256  # items encoded at once


@dataclass(frozen=True, slots=True)
class RunEmbeddings:
    """Reads images or captions as the frozen embeddings of a run.

    Embeddings of whole splits are cached by the run's weights and the split's content.

    Args:
        run: The run's folder.
        side: ``image`` or ``text``.

    Raises:
        UsageError: ``side`` is neither.
    """

    run: str
    side: Side

    def __post_init__(self) -> None:
        if self.side not in get_args(Side):
            raise UsageError(f"side is {self.side!r}; choose one of {', '.join(get_args(Side))}")

    def check(self, root: Path | None) -> None:
        """Refuse a run without one float vector an item.

        Raises:
            DataError: The folder is no finished run.
            UsageError: Its model is a pair scorer or returns codes.
        """
        manifest = read_manifest(Path(self.run) / EMBEDDINGS)
        if len(manifest["images"]["shape"]) != 2 or manifest["bits"] is not None:
            what = "has codes already" if manifest["bits"] is not None else "scores pairs, without one vector an item"
            raise UsageError(
                f"model.source={self.run} is a run of {manifest['origin'].get('model')}, which {what}; give a run of a "
                "model with float embeddings, such as cca, clip or vsrn"
            )

    def features(self, root: Path, splits: Mapping[str, RetrievalSplit], *, progress: bool = True) -> Features:
        """Give one embedding for each image or for each caption.

        Args:
            root: Not used.
            splits: By name.
            progress: Not used.

        Raises:
            DataError: The run cannot be opened, or reads features that cannot be made of these images or captions.
        """
        run = load_run(self.run)
        rows = {name: self._rows(run, split) for name, split in splits.items()}
        origin = f"{self.side} embeddings of {run.name}{self._doubt(splits)}"
        return Features(rows, origin, digest=run.weights_digest)

    def _doubt(self, splits: Mapping[str, RetrievalSplit]) -> str:
        """What a reader must know where the run was tested on another split than the one of its name here."""
        origin = read_manifest(Path(self.run) / EMBEDDINGS)["origin"]
        here, tested = splits.get(origin.get("split")), origin.get("data")
        if here is None or not here.fingerprint or tested in (None, here.fingerprint):
            return ""
        return f" (tested on another {origin['split']} split: images of this one may be among those it was trained on)"

    def _rows(self, run: TrainedRun, split: RetrievalSplit) -> np.ndarray:
        items: Sequence[Any] = split.image_paths if self.side == "image" else split.captions
        encode: Callable[[Sequence[Any]], np.ndarray] = run.encode_images if self.side == "image" else run.encode_texts
        blocks = (encode(items[start : start + BLOCK]) for start in range(0, len(items), BLOCK))
        if not split.fingerprint:  # new images or captions, of a search
            return np.concatenate(list(blocks))
        dim = int(read_manifest(run.folder / EMBEDDINGS)["images"]["shape"][1])
        return cached_rows("run", [run.weights_digest, self.side, split.fingerprint], (len(items), dim), blocks)
