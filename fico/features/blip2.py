"""Inputs of BLIP-2: image size, normalisation and vocabulary of its checkpoint."""

from pathlib import Path

from fico.datasets.base import RetrievalSplit
from fico.errors import DataError
from fico.features.image.pixels import Pixels
from fico.features.text.tokens import CaptionTokens, WordPieces
from fico.features.text.word_pieces import CLS, SEP, WordPieceModel
from fico.networks.checkpoint_io.blip2_config import read_config_file
from fico.networks.checkpoint_io.hub import released_folder

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
START = "[DEC]"  # the token that starts a caption; the last of the vocabulary


def blip2_pixels(source: str | None = None, size: int = 364, augment: bool = False) -> Pixels:
    """Build the image preprocessing of a BLIP-2 checkpoint.

    Args:
        source: Folder of weights in the form of transformers, or a hub name: its config says the size. None or a
            weights file: ``size``.
        size: Side of the square, in pixels.
        augment: As for `Pixels`.

    Raises:
        DataError: ``source`` lacks files.
    """
    folder = released_folder(source) if source else None
    if folder is None:
        return Pixels(size, CLIP_MEAN, CLIP_STD, augment=augment)
    # The processor's file has the size of the pre-training in some folders; the table of positions decides.
    size = int(read_config_file(folder / "config.json")["vision_config"]["image_size"])
    file = folder / "preprocessor_config.json"
    shown = read_config_file(file) if file.is_file() else {}
    return Pixels(size, shown.get("image_mean", CLIP_MEAN), shown.get("image_std", CLIP_STD), augment=augment)


class BLIP2WordPieces(WordPieces):
    """Captions as BLIP-2 reads them: 50 words of the clean-up, [CLS], word pieces, [SEP].

    Args:
        source: Folder of weights in the form of transformers, or a hub name: ``vocab.txt`` or ``tokenizer.json`` in it.
        vocab: As for `WordPieces`; takes precedence over ``source``.
        max_length: Most ids of a caption, markers included.

    Raises:
        DataError: ``source`` lacks files, or is a weights file, which holds no vocabulary, and ``vocab`` is None.
    """

    def __init__(self, source: str | None = None, vocab: str | Path | None = None, max_length: int = 35) -> None:
        super().__init__(vocab, clean="blip2", max_words=50, max_length=max_length, ends_with_sep=True)
        self._model = _vocabulary(source) if source and vocab is None else None

    def fitted(self, train: RetrievalSplit) -> CaptionTokens:
        """Open the vocabulary, or collect the pieces of the training captions."""
        model = self._model
        if model is None and self.vocab is not None:
            model = WordPieceModel.read(self.vocab)
        elif model is None:
            model = WordPieceModel.fit(map(self.cleaned, train.captions))
        size = model.size + (START not in model.ids)
        return CaptionTokens(self, model, [model.ids[CLS]], [model.ids[SEP]], size)


def _vocabulary(source: str) -> WordPieceModel:
    folder = released_folder(source)
    if folder is None:
        raise DataError(
            f"{source} holds no vocabulary; give model.inputs.text.vocab=vocab.txt, that of bert-base-uncased, or the "
            "hub name google-bert/bert-base-uncased"
        )
    if (folder / "vocab.txt").is_file():
        return WordPieceModel.read(folder / "vocab.txt")
    file = folder / "tokenizer.json"
    if not file.is_file():
        raise DataError(f"{folder} has neither vocab.txt nor tokenizer.json; put the tokeniser of the weights there")
    ids = read_config_file(file).get("model", {}).get("vocab")
    if not isinstance(ids, dict) or {CLS, SEP} - set(ids):
        raise DataError(f"{file} is not a WordPiece tokeniser; put the vocab.txt of the checkpoint into the folder")
    return WordPieceModel(ids, f"{len(ids)} word pieces of {file.name}")
