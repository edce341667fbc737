"""``fico features``: Doc2Vec, regions and BERT states of a small data set, from the command line."""

import base64
import gzip
import json
import re

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from fico.cli.app import app
from fico.datasets import load_dataset
from fico.features import model_inputs
from fico.features import writer as rows
from fico.features.precomputed import read_precomputed
from fico.features.text import doc2vec
from fico.features.text.bert import FrozenBert


def features(kind, root, *more):
    return CliRunner().invoke(app, ["features", kind, "--dataset", "karpathy", "--root", str(root), *map(str, more)])


def ids_of(root, side, splits=("train", "val", "test")):
    dataset = load_dataset(root)
    return [item for split in splits for item in getattr(dataset.split(split), f"{side}_ids")]


def test_doc2vec_is_what_a_run_would_have_fitted(root):
    before = model_inputs(load_dataset(root), ["test"], image="global", text="doc2vec", progress=False)
    done = features("doc2vec", root)
    assert done.exit_code == 0, done.stderr
    assert "300 x 300 float32" in done.stderr
    after = model_inputs(load_dataset(root), ["test"], image="global", text="doc2vec", progress=False)
    np.testing.assert_array_equal(after.splits["test"].texts, before.splits["test"].texts)
    assert "fitted on the training captions" in after.origin["text"]


def test_doc2vec_on_all_captions_differs_and_says_so(root, monkeypatch):
    seen = []
    fit = doc2vec.fit
    monkeypatch.setattr(doc2vec, "fit", lambda captions, **how: seen.extend(captions) or fit(captions, **how))
    assert features("doc2vec", root, "--fit-on", "all").exit_code == 0
    assert len(seen) == 300
    found = read_precomputed(root, "doc2vec", {"test": ids_of(root, "caption")}, axes=2)
    assert "those of the test too" in found.origin
    refused = features("doc2vec", root)
    assert refused.exit_code == 2
    assert "--overwrite" in refused.stderr
    assert features("doc2vec", root, "--overwrite").exit_code == 0
    again = read_precomputed(root, "doc2vec", {"test": ids_of(root, "caption")}, axes=2)
    assert (again.rows["test"] != found.rows["test"]).any()


def test_a_killed_doc2vec_does_not_fit_again(root, monkeypatch):
    fits = []
    fit = doc2vec.fit
    monkeypatch.setattr(doc2vec, "fit", lambda captions, **how: fits.append(1) or fit(captions, **how))
    with monkeypatch.context() as patch:
        patch.setattr(doc2vec, "infer", lambda *_args, **_how: (_ for _ in ()).throw(KeyboardInterrupt))
        assert features("doc2vec", root, "--seed", "5").exit_code == 130
    assert features("doc2vec", root, "--seed", "5").exit_code == 0
    assert len(fits) == 1


def region_values(ids):
    return np.random.default_rng(0).normal(size=(len(ids), 3, 4)).astype(np.float32)


def write_tsv(path, ids, values):
    lines = []
    for name, value in zip(ids, values, strict=True):
        boxes, encoded = (base64.b64encode(part.tobytes()).decode() for part in (np.zeros((3, 4), "<f4"), value))
        lines.append(f"{name}\t640\t480\t3\t{boxes}\t{encoded}")
    path.write_text("\n".join(lines))


def test_regions_are_joined_by_id_whatever_their_order_and_form(root, tmp_path):
    ids = ids_of(root, "image")
    order, values = np.random.default_rng(1).permutation(len(ids)), region_values(ids)
    shuffled = [ids[row] for row in order]
    write_tsv(
        tmp_path / "half.tsv", ["of another set", *shuffled[:12]], np.concatenate([values[:1], values[order[:12]]])
    )
    (tmp_path / "rest").mkdir()
    for row in order[12:]:
        np.savez(tmp_path / "rest" / f"{ids[row]}.npz", feat=values[row], bbox=np.zeros((3, 4)))
    done = features("regions", root, "--from", tmp_path / "half.tsv", "--from", tmp_path / "rest")
    assert done.exit_code == 0, done.stderr
    found = read_precomputed(root, "regions", {"all": ids}, axes=3)
    np.testing.assert_array_equal(found.rows["all"], values)
    assert found.origin == "regions of half.tsv, rest"


def test_a_stopped_reading_of_regions_goes_on(root, tmp_path, monkeypatch):
    ids = ids_of(root, "image")
    values = region_values(ids)
    write_tsv(tmp_path / "a.tsv", ids, values)
    monkeypatch.setattr(rows, "SAVED_SECONDS", 0.0)
    save, saves = rows.RowFile._save, []

    def stops(self, *given, **how):
        save(self, *given, **how)
        saves.append(len(given[1]))
        if len(saves) == 6:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(rows.RowFile, "_save", stops)
        assert features("regions", root, "--from", tmp_path / "a.tsv").exit_code == 130
    assert saves == [0, 1, 2, 3, 4, 5]
    assert features("regions", root, "--from", tmp_path / "a.tsv").exit_code == 0
    np.testing.assert_array_equal(read_precomputed(root, "regions", {"all": ids}, axes=3).rows["all"], values)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda ids, values: (ids[:-2], values[:-2]), r"2 of 60 rows of regions\.npy"),
        (lambda ids, values: ([*ids[:-1], ids[0]], values), "is in the sources twice"),
    ],
)
def test_images_without_regions_or_with_two_are_refused(root, tmp_path, make, message):
    ids = ids_of(root, "image")
    write_tsv(tmp_path / "a.tsv", *make(ids, region_values(ids)))
    done = features("regions", root, "--from", tmp_path / "a.tsv")
    assert done.exit_code == 1
    assert re.search(message, done.stderr)
    assert read_precomputed(root, "regions", {"all": ids}, axes=3) is None


def test_scans_rows_are_found_by_imgid(root, tmp_path):
    path = next(root.glob("dataset*.json*"))
    data = path.read_bytes()
    content = json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)
    for number, entry in enumerate(content["images"]):
        entry["imgid"] = 1000 + number
        for sentence in entry["sentences"]:
            sentence["imgid"] = 1000 + number
    path.unlink()
    (root / "dataset.json").write_text(json.dumps(content))
    names = {
        str(entry.get("cocoid") or entry["filename"].rsplit(".", 1)[0]): entry["imgid"] for entry in content["images"]
    }
    ids = ids_of(root, "image")
    values = region_values(ids)
    np.save(tmp_path / "dev_ims.npy", values)
    (tmp_path / "dev_ids.txt").write_text("\n".join(str(names[item]) for item in ids))
    done = features("regions", root, "--from", tmp_path / "dev_ims.npy", "--ids-are", "imgid")
    assert done.exit_code == 0, done.stderr
    np.testing.assert_array_equal(read_precomputed(root, "regions", {"all": ids}, axes=3).rows["all"], values)


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """A folder with a tiny BERT and a vocabulary of letters."""
    from transformers import BertConfig, BertModel, BertTokenizer

    folder = tmp_path_factory.mktemp("bert")
    letters = "abcdefghijklmnopqrstuvwxyz"
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    BertTokenizer(vocab={piece: row for row, piece in enumerate(pieces)}).save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    BertModel(BertConfig(vocab_size=len(pieces), max_position_embeddings=40, **sizes)).save_pretrained(folder)
    return folder


def test_bert_states_are_those_of_the_captions_and_padding_is_zero(root, bert):
    from transformers import AutoModel, AutoTokenizer

    done = features("bert", root, "--model", bert, "--words", 12, "--splits", "train,test", "--device", "cpu")
    assert done.exit_code == 0, done.stderr
    split = load_dataset(root).split("test")
    found = read_precomputed(root, "bert", {"test": split.caption_ids}, axes=3).rows["test"]
    assert found.shape == (100, 12, 8)
    tokens = AutoTokenizer.from_pretrained(bert)(split.captions[3], truncation=True, max_length=12, return_tensors="pt")
    with torch.no_grad():
        wanted = AutoModel.from_pretrained(bert).eval()(**tokens).last_hidden_state[0].numpy()
    np.testing.assert_allclose(found[3, : len(wanted)], wanted, atol=1e-5)
    inputs = model_inputs(load_dataset(root), ["test"], image="global", text="bert", progress=False)
    assert inputs.sizes["text_dim"] == 8


def test_bert_states_of_a_short_caption_do_not_depend_on_its_padding(bert):
    short, alone = FrozenBert(bert, 12).states(["abc", "a longer one"])[0], FrozenBert(bert, 5).states(["abc"])[0]
    np.testing.assert_allclose(short[:5], alone, atol=1e-5)
    assert alone.any(axis=1).all()
    assert not short[5:].any()


def test_a_bert_without_its_tokeniser_is_refused(root, bert, tmp_path):
    for path in bert.iterdir():
        if not path.name.startswith("token"):
            (tmp_path / path.name).symlink_to(path)
    done = features("bert", root, "--model", tmp_path, "--device", "cpu")
    assert done.exit_code == 1
    assert "does not know" in done.stderr
    assert not (root / "features" / "bert.npy").exists()


def test_a_folder_without_a_text_model_is_told(root, tmp_path):
    (tmp_path / "empty").mkdir()
    done = features("bert", root, "--model", tmp_path / "empty")
    assert done.exit_code == 1
    assert "gives no text model" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset", "coco"], "--dataset coco needs --root"),
        (["--dataset", "cocoa", "--root", "x"], "give one of coco"),
        (["--dataset", "shapes", "--splits", ","], "--splits is empty"),
    ],
)
def test_a_data_set_that_cannot_be_opened_is_told(arguments, message):
    done = CliRunner().invoke(app, ["features", "doc2vec", *arguments])
    assert done.exit_code == 2
    assert message in done.stderr
