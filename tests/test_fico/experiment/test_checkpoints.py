"""Sizes from the data, and checkpoints that say how to build their module."""

import pytest
import torch
from omegaconf import OmegaConf

from fico.errors import DataError, UsageError
from fico.experiment.checkpoints.module import check_checkpoint, fill_sizes, read_checkpoint, weights_origin
from fico.losses.contrastive_hashing import ContrastiveHashing
from fico.util.atomic import sha256
from fico.util.digests import cached


def test_empty_leaves_take_the_size_of_the_data_and_others_stay():
    module = OmegaConf.create({"network": {"image_dim": None, "hidden_dim": 7}, "loss": {"margin": None}})
    filled = fill_sizes(module, {"image_dim": 5, "vocab_size": 9})
    assert filled == {"network": {"image_dim": 5, "hidden_dim": 7}, "loss": {"margin": None}}
    assert module.network.image_dim is None


def test_a_size_that_contradicts_the_data_is_refused():
    with pytest.raises(UsageError, match=r"model\.module\.network\.image_dim is 4, but the data have 5"):
        fill_sizes(OmegaConf.create({"network": {"image_dim": 4}}), {"image_dim": 5})


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "there is no checkpoint"),
        (b"PK\x03\x04 cut", "cannot be read"),
        ({"model": {}}, "was not written by a run"),
    ],
)
def test_a_file_that_is_no_checkpoint_of_ours_is_refused(tmp_path, content, told):
    path = tmp_path / "best.ckpt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(DataError, match=told):
        read_checkpoint(path)


def test_released_weights_are_known_by_the_hash_of_every_file(tmp_path):
    (tmp_path / "a.safetensors").write_bytes(b"a")
    (tmp_path / "b.bin").write_bytes(b"b")
    (tmp_path / "config.json").write_text("{}")
    digests = {name: sha256(tmp_path / name) for name in ("a.safetensors", "b.bin")}
    assert weights_origin(str(tmp_path)) == digests
    assert weights_origin(str(tmp_path / "b.bin")) == {"b.bin": digests["b.bin"]}
    assert weights_origin("owner/name") == {"hub": "owner/name"}
    assert weights_origin(None) is None


def test_large_weights_are_hashed_once_until_they_change(tmp_path, monkeypatch):
    monkeypatch.setenv("FICO_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(cached, "CACHED_BYTES", 1)
    path, read = tmp_path / "weights.pth", []
    monkeypatch.setattr(cached, "sha256", lambda file: read.append(file) or sha256(file))
    path.write_bytes(b"one")
    assert weights_origin(str(path)) == weights_origin(str(path)) == {"weights.pth": sha256(path)}
    assert read == [path]
    path.write_bytes(b"another")
    assert weights_origin(str(path)) == {"weights.pth": sha256(path)}
    assert read == [path, path]


def test_a_checkpoint_of_another_model_is_refused_and_one_of_other_data_is_told_of(tmp_path, caplog):
    path, module = tmp_path / "best.ckpt", torch.nn.Linear(2, 3)
    torch.save({"fico": {"model": {}, "data": "own"}, "state_dict": module.state_dict()}, path)
    check_checkpoint(path, module, "own")
    assert not caplog.text
    check_checkpoint(path, module, "other")
    assert "was trained on other data" in caplog.text
    with pytest.raises(DataError, match="best.ckpt does not fit Linear: weight has shape"):
        check_checkpoint(path, torch.nn.Linear(2, 4), "own")


def test_what_only_a_training_reads_need_not_fit_a_test_on_other_data(tmp_path):
    def module(pairs, inputs=4):
        made = torch.nn.Module()
        made.network, made.contrast = torch.nn.Linear(inputs, 8), ContrastiveHashing(pairs, bits=8, negatives=2)
        return made

    path, other = tmp_path / "best.ckpt", module(30)
    torch.save({"fico": {"model": {}, "data": "own"}, "state_dict": module(20).state_dict()}, path)
    check_checkpoint(path, other, "own", is_tested=True)
    assert other.contrast.memory.shape == (30, 8)
    with pytest.raises(DataError, match=r"contrast\.memory has shape"):
        check_checkpoint(path, other, "own")
    with pytest.raises(DataError, match=r"network\.weight has shape"):
        check_checkpoint(path, module(20, inputs=5), "own", is_tested=True)
