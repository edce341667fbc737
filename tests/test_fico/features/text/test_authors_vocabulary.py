"""Authors' vocabularies: the same ids, and no code from a pickle."""

import json
import os
import pickle
import sys
import types

import pytest

from fico.datasets import load_dataset
from fico.errors import DataError
from fico.features.text.authors_vocabulary import AuthorsWords, read_authors_vocabulary

WORDS = ("<pad>", "<start>", "<end>", "<unk>", "dog", "a", "café")


class Vocabulary:
    """Has the form of the authors' class; it is looked up in the main module, as theirs was."""

    def __init__(self, words=WORDS):
        self.word2idx = {word: number for number, word in enumerate(words)}
        self.idx2word = dict(enumerate(words))
        self.idx = len(words)


Vocabulary.__module__ = "__main__"


def _pickled(value, path, monkeypatch, protocol):
    main = types.ModuleType("__main__")
    main.Vocabulary = Vocabulary
    monkeypatch.setitem(sys.modules, "__main__", main)
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    return path


def _json(path, words=WORDS, **changed):
    content = vars(Vocabulary(words)) | changed
    path.write_text(json.dumps(content))
    return path


def _python_2(path):
    """Protocol 0 by hand: an old-style instance whose names are byte strings, as Python 2 wrote them."""
    state = "(dp1\nS'word2idx'\n(dp2\n"
    state += "".join(f"S{word.encode()!r}\nI{n}\ns".replace("Sb", "S") for n, word in enumerate(WORDS))
    state += "sS'idx2word'\n(dp3\n"
    state += "".join(f"I{n}\nS{word.encode()!r}\ns".replace("Sb", "S") for n, word in enumerate(WORDS))
    path.write_bytes(f"(i__main__\nVocabulary\np0\n{state}sb.".encode())
    return path


def test_json_and_pickles_give_the_authors_ids(tmp_path, monkeypatch):
    files = [_json(tmp_path / "vocab.json"), _python_2(tmp_path / "python2.pkl")]
    files += [_pickled(Vocabulary(), tmp_path / f"{n}.pkl", monkeypatch, n) for n in (0, 2, 4)]
    for file in files:
        vocabulary = read_authors_vocabulary(file, words=7)
        assert len(vocabulary) == 7
        assert vocabulary.encode(("a", "café", "dog", "zebra")).tolist() == [1, 5, 6, 4, 3, 2]


def test_another_size_than_the_models_names_both(tmp_path):
    with pytest.raises(DataError, match="has 7 words.*has 8481"):
        read_authors_vocabulary(_json(tmp_path / "vocab.json"), words=8481)


class Evil:
    def __reduce__(self):
        return os.system, ("echo evil > evil.txt",)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_that_asks_for_anything_else_is_not_opened(tmp_path, monkeypatch, protocol):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vocab.pkl").write_bytes(pickle.dumps(Evil(), protocol=protocol))
    with pytest.raises(DataError, match=r"loads (posix|nt)\.system"):
        read_authors_vocabulary(tmp_path / "vocab.pkl")
    assert not (tmp_path / "evil.txt").exists()


def test_an_attribute_cannot_bring_code_either(tmp_path, monkeypatch):
    vocabulary = Vocabulary()
    vocabulary.word2idx["dog"] = Evil()
    path = _pickled(vocabulary, tmp_path / "vocab.pkl", monkeypatch, 2)
    with pytest.raises(DataError, match="loads"):
        read_authors_vocabulary(path)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"word2idx": None}, "lacks word2idx"),
        ({"idx2word": {"0": "<pad>"}}, "contradicts itself"),
        ({"word2idx": {"<pad>": 1}, "idx2word": {"1": "<pad>"}}, "without a gap"),
        ({"word2idx": {"dog": 0}, "idx2word": {"0": "dog"}}, "first four words must be <pad>"),
    ],
)
def test_a_table_that_is_wrong_is_refused(tmp_path, changed, named):
    with pytest.raises(DataError, match=named):
        read_authors_vocabulary(_json(tmp_path / "vocab.json", **changed))


def test_a_damaged_or_missing_file_is_named(tmp_path):
    for name, content in (("a.json", "{"), ("b.pkl", "cut"), ("c.json", "[]")):
        (tmp_path / name).write_text(content)
        with pytest.raises(DataError, match=name):
            read_authors_vocabulary(tmp_path / name)
    with pytest.raises(DataError, match="there is no vocabulary"):
        read_authors_vocabulary(tmp_path / "missing.json")


@pytest.fixture
def captions(tmp_path):
    """Three images with one caption each; the images are never read."""
    said = ("A dog, a café.", "the dog's dog", "a zebra sees a dog")
    images = [
        {
            "filename": f"{n}.jpg",
            "imgid": n,
            "split": "train",
            "sentences": [{"raw": text, "tokens": ["never", "read"]}],
        }
        for n, text in enumerate(said)
    ]
    (tmp_path / "dataset_tiny.json").write_text(json.dumps({"images": images}))
    return load_dataset(tmp_path).split("train")


def test_captions_are_read_as_the_authors_read_them(tmp_path, captions):
    words = (*WORDS, ",", ".", "the", "'s", "sees")
    reader = AuthorsWords(_json(tmp_path / "vocab.json", words)).fitted(captions)
    assert [row.tolist() for row in reader.ids(captions)] == [
        [1, 5, 4, 7, 5, 6, 8, 2],
        [1, 9, 4, 10, 4, 2],
        [1, 5, 3, 11, 5, 4, 2],
    ]
    assert reader.sizes == {"vocab_size": 12}
    assert reader.origin == "8 words of vocab.json"


def test_a_vocabulary_of_other_data_is_refused(tmp_path, captions):
    with pytest.raises(DataError, match=r"does not know 6 of 15 words.*belongs to the checkpoint"):
        AuthorsWords(_json(tmp_path / "vocab.json")).ids(captions)
