"""Token ids: the right file gives the released numbers, a wrong one is refused, none is made from the captions."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from fico.datasets.shapes.shapes import Shapes
from fico.errors import DataError, UsageError
from fico.features import model_inputs
from fico.features.image.pixels import Pixels
from fico.features.text.cleaning import blip2, first_words, xvlm
from fico.features.text.sentence_pieces import SentencePieceModel
from fico.features.text.tokens import SentencePieces, WordPieces
from fico.features.text.word_pieces import WordPieceModel

MARKERS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
CAPTIONS = ["A red ball.", "the red balls, and a cat", "a cat on the red ball"]


def _split(captions, name="train"):
    return SimpleNamespace(
        name=name, captions=tuple(captions), caption_ids=tuple(f"c{row}" for row in range(len(captions)))
    )


@pytest.fixture
def vocab(tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join([*MARKERS, "a", "red", "ball", "##s", "the", "cat", "on", "and", ".", ","]) + "\n")
    return path


@pytest.mark.parametrize("given", ["file", "folder"])
def test_a_released_vocabulary_gives_its_own_numbers(vocab, given):
    reader = WordPieces(vocab if given == "file" else vocab.parent, ends_with_sep=True)
    tokens = reader.fitted(_split(CAPTIONS))
    found = tokens.ids(_split(CAPTIONS))
    assert found[0].tolist() == [2, 5, 6, 7, 13, 3]
    assert found[1].tolist() == [2, 9, 6, 7, 8, 14, 12, 5, 10, 3]
    assert found[0].dtype == np.int64
    assert tokens.sizes == {"vocab_size": 15}
    assert "cut" not in tokens.origin


def test_further_tokens_are_numbered_after_the_file_and_sep_may_be_left_out(vocab):
    reader = WordPieces(vocab, ends_with_sep=False, extra_tokens=["[DEC]"])
    tokens = reader.fitted(_split(CAPTIONS))
    assert tokens.sizes == {"vocab_size": 16}
    assert tokens.ids(_split(CAPTIONS))[0].tolist() == [2, 5, 6, 7, 13]


def test_a_text_over_length_is_cut_before_its_end_marker_and_counted(vocab):
    tokens = WordPieces(vocab, max_length=5, ends_with_sep=True).fitted(_split(CAPTIONS))
    assert tokens.ids(_split(CAPTIONS))[1].tolist() == [2, 9, 6, 7, 3]
    assert tokens.origin.endswith("3 of 3 captions were cut")


def test_clean_ups_treat_punctuation_each_in_its_way():
    caption = "A T-shirt, isn't it?  <person>/dog (old)!\n"
    assert xvlm(caption) == "a t shirt isnt it person dog old"
    assert blip2(caption) == "a t-shirt, isn't it? <person>/dog old"
    assert first_words("a b c d", 2) == "a b"


def test_a_caption_that_the_clean_up_empties_is_named(vocab):
    tokens = WordPieces(vocab, clean="xvlm").fitted(_split(CAPTIONS))
    with pytest.raises(DataError, match=r"1 of 4 captions of split test .*c3"):
        tokens.ids(_split([*CAPTIONS, " ?! "], "test"))


def test_a_vocabulary_of_another_language_is_refused(tmp_path):
    """With unknown words everywhere a model still runs, and only its numbers would be bad."""
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join([*MARKERS, "ein", "roter", "ball"]) + "\n")
    tokens = WordPieces(path).fitted(_split(CAPTIONS))
    with pytest.raises(DataError, match=r"does not know 15 of 15 words"):
        tokens.ids(_split(CAPTIONS))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no tokeniser file"),
        (b"\xff\xfe\x00", r"vocab\.txt is not UTF-8"),
        ("a\nred\nball\n", r"without \[PAD\]"),
        ("\n".join([*MARKERS, "a", "a"]), "piece twice"),
        ("\n".join(["a", *MARKERS]), "at its start"),
    ],
)
def test_a_file_that_is_no_vocabulary_is_refused(tmp_path, content, message):
    path = tmp_path / "vocab.txt"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=message):
        WordPieces(path).fitted(_split(CAPTIONS))


@pytest.mark.parametrize("reader", [WordPieces("nobody/nothing"), SentencePieces("nobody/nothing")])
def test_a_hub_name_that_cannot_be_fetched_says_what_to_place(reader, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match=r"neither in the cache nor can it be fetched .* model\.inputs\.text\."):
        reader.fitted(_split(CAPTIONS))


def test_without_a_file_words_are_numbered_by_frequency_and_the_rest_spelt():
    model = WordPieceModel.fit(CAPTIONS)
    again = WordPieceModel.fit(reversed(CAPTIONS))
    assert model.ids == again.ids
    assert model.ids["red"] < model.ids["cat"]
    assert model.unknown not in model.encode(["a red bat and balls"])[0]
    assert len(model.encode(["bat"])[0]) == 3


def test_without_a_file_sentence_pieces_are_fitted_alike_each_time():
    captions = [
        f"{color} {kind} {place}"
        for color in ("a red", "the blue")
        for kind in ("ball", "cat")
        for place in ("here", "on top")
    ]
    first, second = SentencePieceModel.fit(captions * 9), SentencePieceModel.fit(captions * 9)
    assert first.encode(captions) == second.encode(captions)
    assert first.size == second.size
    ids = SentencePieces().fitted(_split(captions * 9)).ids(_split(captions))
    assert all(row[0] == 0 and row[-1] == 2 and row[1:-1].min() > 2 for row in ids)
    assert max(row.max() for row in ids) < first.size


def test_sentence_pieces_may_have_rows_to_spare_but_not_too_few(tmp_path):
    model = SentencePieces(vocab_size=5000).fitted(_split(CAPTIONS * 9))
    assert model.sizes == {"vocab_size": 5000}
    with pytest.raises(DataError, match="word table has 6"):
        SentencePieces(vocab_size=6).fitted(_split(CAPTIONS * 9))
    (tmp_path / "x.spm").write_bytes(b"no model")
    with pytest.raises(DataError, match="not a SentencePiece model"):
        SentencePieces(tmp_path / "x.spm").fitted(_split(CAPTIONS))


def test_a_model_reads_pixels_and_ids_of_a_data_set():
    shapes = Shapes(images=24, progress=False)
    image = Pixels(16, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    inputs = model_inputs(shapes, ["train", "test"], image=image, text=WordPieces(clean="xvlm"), progress=False)
    assert {"image_size", "vocab_size", "train_pairs"} <= set(inputs.sizes)
    texts = [text for split in inputs.splits.values() for text in split.texts]
    assert max(text.max() for text in texts) < inputs.sizes["vocab_size"]
    assert len(inputs.splits["test"].images) == len(shapes.split("test").image_ids)
    assert inputs.bytes_per_image == 0
    assert "pixels" in inputs.origin["image"]


@pytest.mark.parametrize(
    ("image", "text", "message"),
    [("global", WordPieces(), "tokens"), (Pixels(8, (0, 0, 0), (1, 1, 1)), "doc2vec", "pixels")],
)
def test_a_data_set_of_features_alone_says_so(image, text, message):
    class OnlyFeatures:
        name, root = "only", Path()
        feature_origins = {"global": "VGG", "doc2vec": "Doc2Vec"}

        def split(self, name):
            split = _split(CAPTIONS)
            split.tokens = [()] * len(CAPTIONS)  # it has no words
            return split

        def features(self, split, kind):
            return np.zeros((len(CAPTIONS), 4), np.float32)

    with pytest.raises(UsageError, match=f"{message} features of only cannot be made"):
        model_inputs(OnlyFeatures(), ["train"], image=image, text=text)


@pytest.mark.parametrize(("how", "message"), [({"clean": "scan"}, "xvlm, blip2"), ({"max_length": 2}, "at least 3")])
def test_what_makes_no_sense_is_refused(how, message):
    with pytest.raises(UsageError, match=message):
        WordPieces(**how)
