"""Searching with a run: results, bad queries, broken runs and somebody's own folder."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import fico
from fico.errors import DataError, UsageError
from fico.inference import folder_index
from fico.run_context import STAMP
from fico.util.digests.digest import sealed


@pytest.fixture(scope="module")
def run(runs):
    return fico.load_run(runs["vsrn"])


@pytest.fixture
def copy(runs, tmp_path):
    """A run that a test may damage."""
    shutil.copytree(runs["vsrn"], tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def pictures(tmp_path, tested):
    """A folder of three images, one of them further below."""
    folder = tmp_path / "pictures"
    (folder / "below").mkdir(parents=True)
    for name, path in zip(("a.png", "b.PNG", "below/c ü.png"), tested.image_paths, strict=False):
        with Image.open(path) as image:
            image.save(folder / name, "PNG")
    return folder


def test_a_search_says_what_and_where_and_how_long(run, tested):
    found = run.search(texts=["a red circle", "a zebra beside a circle"], k=2)
    assert [len(hits) for hits in found.hits] == [2, 2]
    assert found.unknown_words == ((), ("zebra", "beside")) or found.unknown_words == ((), ("zebra",))
    assert found.items == len(tested.image_ids)
    assert set(found.seconds) == {"encode", "search"}
    hit = found.hits[0][0]
    assert hit.path == dict(zip(tested.image_ids, tested.image_paths, strict=True))[hit.id]


def test_an_image_finds_captions(run, tested):
    hit = run.search(images=[tested.image_paths[0]], k=1).hits[0][0]
    assert hit.caption == dict(zip(tested.caption_ids, tested.captions, strict=True))[hit.id]


def test_a_smaller_gallery_is_given_as_a_whole(run, tested):
    assert len(run.search(texts=["a red circle"], k=1000).hits[0]) == len(tested.image_ids)


@pytest.mark.parametrize("text", ["", "   ", "!!! ...", "zebra giraffe", "马在草地上"])
def test_a_text_without_a_known_word_is_refused(run, text):
    with pytest.raises(DataError, match="word"):
        run.search(texts=[text])


@pytest.mark.parametrize("model", ["vsrn", "cca", "beit3", "xvlm", "adv"])
def test_a_very_long_text_and_one_in_another_script_are_read(model, runs):
    run = fico.load_run(runs[model])
    rows = run.encode_texts(["a red circle " * 800, "a red круг"])
    assert np.isfinite(rows).all()
    assert run.search(texts=["a red круг"]).unknown_words == (("круг",),)


def test_an_empty_text_is_named(run):
    with pytest.raises(DataError, match="text 2 of 3 is empty"):
        run.encode_texts(["a circle", " ", "a square"])


@pytest.mark.parametrize(
    ("queries", "reason"),
    [
        ({}, "one of the two"),
        ({"texts": ["a"], "images": ["b.png"]}, "one of the two"),
        ({"texts": "a red circle"}, "list"),
        ({"texts": []}, "list"),
        ({"texts": ["a red circle"], "k": 0}, "starts at 1"),
    ],
)
def test_wrong_usage_is_one_sentence(run, queries, reason):
    with pytest.raises(UsageError, match=reason):
        run.search(**queries)


def test_images_of_every_mode_are_read(run, tmp_path):
    paths = []
    for mode in ("RGB", "CMYK", "L", "P", "I;16", "RGBA", "1"):
        paths.append(tmp_path / f"{mode.replace(';', '')}.{'tif' if mode == 'CMYK' else 'png'}")
        Image.new(mode, (40, 30)).save(paths[-1])
    assert np.isfinite(run.encode_images(paths)).all()


def test_a_broken_a_huge_and_a_missing_image_are_named(run, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    Image.new("1", (20_000, 20_000)).save(tmp_path / "huge.png")
    for name, reason in (("broken.jpg", "not an image"), ("huge.png", "too large"), ("missing.png", "no file")):
        with pytest.raises(DataError, match=rf"{name}.*{reason}|{reason}.*{name}"):
            run.encode_images([tmp_path / name])


def test_a_pair_scorer_compares_no_images_with_images(runs, pictures, tested):
    run = fico.load_run(runs["scan"])
    gallery = run.index(pictures).images
    assert run.search(texts=["a red circle"], gallery=gallery, k=3).items == 3
    with pytest.raises(UsageError, match="cannot compare images with images"):
        run.search(images=[tested.image_paths[0]], gallery=gallery)


def test_a_re_ranker_reads_the_images_of_a_folder_again(runs, pictures):
    run = fico.load_run(runs["xvlm"])
    found = run.search(texts=["a red circle"], gallery=run.index(pictures).images)
    assert len(found.hits[0]) == 3
    assert "rerank" in found.seconds


def test_a_folder_is_indexed_once_and_updated(run, pictures, tested):
    first = run.index(pictures)
    assert (first.encoded, first.images.ids) == (3, ("a.png", "b.PNG", "below/c ü.png"))
    assert run.index(pictures).encoded == 0
    with Image.open(tested.image_paths[5]) as image:
        image.save(pictures / "a.png")
    (pictures / "b.PNG").unlink()
    second = run.index(pictures)
    assert (second.encoded, second.images.ids) == (1, ("a.png", "below/c ü.png"))
    np.testing.assert_allclose(second.images.vectors, run.encode_images(second.images.paths), atol=1e-6)
    similar = run.search(images=[pictures / "a.png"], gallery=second.images, k=1)
    assert similar.hits[0][0].id == "a.png"


def test_an_interrupted_indexing_goes_on_where_it_stopped(run, pictures, monkeypatch):
    monkeypatch.setattr(folder_index, "BLOCK", 1)
    encode, done = run._encoder.encode_images, []

    def interrupted(files):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(files)
        return encode(files)

    with pytest.raises(KeyboardInterrupt):
        folder_index.index_folder(pictures, interrupted, "key", progress=False)
    index = folder_index.index_folder(pictures, encode, "key", progress=False)
    assert (index.encoded, len(index.images.ids)) == (1, 3)


def test_a_folder_of_another_model_is_indexed_anew(runs, pictures):
    assert fico.load_run(runs["beit3"]).index(pictures).encoded == 3
    assert fico.load_run(runs["xvlm"]).index(pictures).images.vectors.shape[1] == 64


def test_a_damaged_index_is_made_again(run, pictures):
    run.index(pictures)
    for file in (folder_index.cache_dir() / "folders").glob("*.safetensors"):
        file.write_bytes(file.read_bytes()[:50])
    assert run.index(pictures).encoded == 3


def test_a_file_that_cannot_be_read_is_left_out_and_named(run, pictures):
    (pictures / "bad.jpg").write_bytes(b"")
    index = run.index(pictures)
    assert len(index.images.ids) == 3
    assert "bad.jpg" in index.left_out[0]


def test_a_folder_without_an_image_is_one_sentence(run, tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(DataError, match="no image in"):
        run.index(tmp_path)
    with pytest.raises(DataError, match="no folder"):
        run.index(tmp_path / "nowhere")
    (tmp_path / "bad.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"can be read.*bad\.png"):
        run.index(tmp_path)


def test_a_run_without_its_files_is_one_sentence(copy, tmp_path):
    with pytest.raises(DataError, match="no folder"):
        fico.load_run(tmp_path / "nowhere")
    (copy / "inputs" / "manifest.json").unlink()
    with pytest.raises(DataError, match="stores no inputs.*train it again"):
        fico.load_run(copy)
    (copy / "checkpoints" / "best.ckpt").unlink()
    with pytest.raises(DataError, match=r"no checkpoints/best\.ckpt"):
        fico.load_run(copy)
    shutil.rmtree(copy / "embeddings")
    with pytest.raises(DataError, match="neither checkpoints"):
        fico.load_run(copy)


@pytest.mark.parametrize("name", ["checkpoints/best.ckpt", "inputs/train.json.gz", "inputs/image_scale.safetensors"])
def test_a_truncated_file_is_named(copy, name, tested):
    path = copy / name
    path.write_bytes(path.read_bytes()[:40])

    def use():
        run = fico.load_run(copy)
        run.encode_texts(["a red circle"])
        run.encode_images([tested.image_paths[0]])

    with pytest.raises(DataError, match=path.name):
        use()


def test_a_checkpoint_cannot_name_foreign_code(copy):
    path = copy / "checkpoints" / "best.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    checkpoint[STAMP]["model"]["module"]["network"] = {"_target_": "os.mkdir", "path": str(copy / "made")}
    torch.save(checkpoint, path)
    with pytest.raises(DataError, match=r"os\.mkdir"):
        fico.load_run(copy)
    assert not (copy / "made").exists()


def test_a_network_of_another_release_is_one_sentence(copy):
    path = copy / "checkpoints" / "best.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    checkpoint[STAMP]["model"]["module"]["network"]["_target_"] = "models.gone.Gone"
    torch.save(checkpoint, path)
    with pytest.raises(DataError, match=r"models\.gone\.Gone cannot be imported.*checkout"):
        fico.load_run(copy)


def test_precomputed_features_of_new_images_are_refused(copy, tested):
    manifest = copy / "inputs" / "manifest.json"
    content = json.loads(manifest.read_text()) | {"is_made": {"image": False, "text": True}}
    manifest.write_text(json.dumps(sealed(content)))
    run = fico.load_run(copy)
    with pytest.raises(DataError, match="precomputed image features"):
        run.encode_images([tested.image_paths[0]])
    assert run.search(texts=["a red circle"], k=1).hits[0]


def test_a_run_that_tested_another_checkpoint_uses_that_one(copy, run, tmp_path):
    (copy / "checkpoints" / "best.ckpt").rename(tmp_path / "other.ckpt")
    name_in_config(copy, checkpoint=str(tmp_path / "other.ckpt"))
    same = fico.load_run(copy).encode_texts(["a red circle"])
    np.testing.assert_array_equal(same, run.encode_texts(["a red circle"]))
    (tmp_path / "other.ckpt").unlink()
    with pytest.raises(DataError, match=r"no checkpoint .*other\.ckpt"):
        fico.load_run(copy)


def test_a_run_that_tested_released_weights_uses_these(copy, run, tmp_path):
    path = copy / "checkpoints" / "best.ckpt"
    state = torch.load(path, weights_only=True)["state_dict"]
    own = {name.removeprefix("network."): value for name, value in state.items() if name.startswith("network.")}
    save_file(own, tmp_path / "released.safetensors")
    path.unlink()
    name_in_config(copy, weights=str(tmp_path / "released.safetensors"))
    released = fico.load_run(copy)
    np.testing.assert_array_equal(released.encode_texts(["a red circle"]), run.encode_texts(["a red circle"]))
    assert released.search(texts=["a red zebra"], k=1).unknown_words == (("zebra",),)


def name_in_config(folder, **changed):
    manifest = folder / "embeddings" / "manifest.json"
    content = json.loads(manifest.read_text())
    content["origin"]["config"] |= changed
    manifest.write_text(json.dumps(sealed(content)))
