"""States of a frozen BERT for each word piece of a caption, as ADV reads them at paper size."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fico.datasets.base import RetrievalSplit
from fico.errors import DataError, UsageError
from fico.features.vocabulary import MOST_UNKNOWN
from fico.features.writer import RowFile, Step
from fico.networks.checkpoint_io.load import weights_digest
from fico.util.optional import requires_extra

BLOCK = 64  # captions at once
DEFAULT = "bert-base-uncased"
WORDS = 32
CHECKED = 1000  # captions of each split that are looked through for unknown words


class FrozenBert:
    """A text encoder of the transformers library with its tokeniser.

    Args:
        name: A folder with weights and tokeniser files, or a name on the hub.
        words: Word pieces kept of a caption, [CLS] and [SEP] among them.
        device: Where it runs, as torch names it.

    Raises:
        UsageError: ``words`` is below 3.
        DataError: The folder or the name gives no such model.
    """

    def __init__(self, name: str = DEFAULT, words: int = WORDS, device: str = "cpu") -> None:
        with requires_extra("models"):
            from transformers import AutoModel, AutoTokenizer

        if words < 3:
            raise UsageError(f"{words} words leave none between [CLS] and [SEP]; give 3 or more")
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(name)
            self._network = AutoModel.from_pretrained(name, dtype=torch.float32).eval().to(device)
        except (OSError, ValueError, KeyError) as error:
            reason = str(error).strip().split("\n")[0]
            raise DataError(
                f"{name} gives no text model ({reason}); give a folder with config.json, weights and tokenizer files, "
                "or a name on the hub"
            ) from error
        self.name, self.words, self._device = name, words, device
        self.dim = int(self._network.config.hidden_size)

    @property
    def digest(self) -> str:
        """Hash of the weights, so that features of other weights are not gone on with."""
        return weights_digest(self._network)

    def check_known(self, captions: list[str]) -> None:
        """Refuse a tokeniser that knows no words: transformers makes one silently where its files are missing.

        Raises:
            DataError: It does not know a tenth of the words.
        """
        pieces = self._tokenizer(captions, add_special_tokens=False)["input_ids"]
        unknown = sum(row.count(self._tokenizer.unk_token_id) for row in pieces)
        words = sum(len(caption.split()) for caption in captions)
        if unknown > MOST_UNKNOWN * words:
            raise DataError(
                f"the tokeniser of {self.name} does not know {unknown} of {words} words; put the tokenizer.json or "
                "vocab.txt of the model next to its weights"
            )

    @torch.inference_mode()
    def states(self, captions: list[str]) -> np.ndarray:
        """States of the last layer, ``captions words dim``; zero rows after the last piece of a caption."""
        inputs = self._tokenizer(
            captions, truncation=True, max_length=self.words, padding="max_length", return_tensors="pt"
        ).to(self._device)
        states = self._network(**inputs).last_hidden_state
        masked: np.ndarray = (states * inputs["attention_mask"].unsqueeze(2)).cpu().numpy()
        return masked


def bert_file(root: Path, splits: Mapping[str, RetrievalSplit], bert: FrozenBert, *, dtype: str = "<f4") -> RowFile:
    """The file that `bert_steps` fills: ``captions words dim``, one row for each caption of the splits.

    Differs:
        The authors run BERT inside the model, where the padding has states too; here they are zero.
    """
    ids = [item for split in splits.values() for item in split.caption_ids]
    bert.check_known([caption for split in splits.values() for caption in split.captions[:CHECKED]])
    captions = hashlib.sha256("\n".join(c for split in splits.values() for c in split.captions).encode()).hexdigest()
    settings: dict[str, Any] = {"weights": bert.digest, "words": bert.words, "block": BLOCK, "captions": captions}
    origin = f"frozen states of {bert.name}, {bert.words} word pieces, padding zero"
    return RowFile(root, "bert", ids, (bert.words, bert.dim), origin, settings, dtype)


def bert_steps(splits: Mapping[str, RetrievalSplit], bert: FrozenBert) -> tuple[Callable[[int], Iterator[Step]], int]:
    """Blocks of captions through the network, as `RowFile.write` takes them."""
    captions = [caption for split in splits.values() for caption in split.captions]
    starts = range(0, len(captions), BLOCK)

    def steps(done: int) -> Iterator[Step]:
        for start in starts[done:]:
            block = captions[start : start + BLOCK]
            yield slice(start, start + len(block)), bert.states(block)

    return steps, len(starts)
