"""Released checkpoints: the authors' layouts load, anything else is refused in one sentence."""

import argparse
import pickle
import struct
import types
from collections import OrderedDict

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from fico.errors import DataError
from fico.networks.blocks.captioner import Captioner
from fico.networks.checkpoint_io.load import read_checkpoint
from fico.networks.ucch import UCCH
from fico.networks.vsrn import VSRN


class _Python2Pickler(pickle._Pickler):
    """Writes text as Python 2 wrote its byte strings, which is how the authors' files hold their names."""

    dispatch = pickle._Pickler.dispatch.copy()

    def save_str(self, text):
        data = text.encode()
        self.write(pickle.SHORT_BINSTRING + struct.pack("<B", len(data)) + data)
        self.memoize(text)

    dispatch[str] = save_str


def _dump_as_python_2(value, file, protocol=2):
    _Python2Pickler(file, protocol).dump(value)


PYTHON_2 = types.ModuleType("python_2")
PYTHON_2.Pickler, PYTHON_2.dump = _Python2Pickler, _dump_as_python_2


def _ucch(bits=16, layers=3):
    return UCCH(image_dim=12, text_dim=7, bits=bits, image_layers=layers, text_layers=2, hidden_dim=10)


def _vsrn(vocab_size=30, flickr30k=False):
    return VSRN(
        image_dim=9,
        vocab_size=vocab_size,
        embed_dim=8,
        word_dim=5,
        normalise_regions=not flickr30k,
        final_batch_norm=flickr30k,
    )


def _ucch_file(network, path):
    optimizer = torch.optim.Adam(network.parameters())
    torch.save(
        {
            "image_model_state_dict": network.image_model.state_dict(),
            "text_model_state_dict": network.text_model.state_dict(),
            "optimizer_state_dict": optimizer.state_dict(),
            "Avg": np.float64(0.5),
            "Img2Txt": np.float32(0.5),
            "Txt2Img": 0.5,
            "epoch": 3,
        },
        path,
    )
    return path


def _vsrn_parts(network, prefix="", counters=True):
    return [
        OrderedDict(
            (prefix + name, value)
            for name, value in part.state_dict().items()
            if counters or not name.endswith("num_batches_tracked")
        )
        for part in (network.img_enc, network.txt_enc)
    ]


def _vsrn_file(network, path, prefix="", counters=True, **how):
    content = {
        "epoch": 8,
        "model": _vsrn_parts(network, prefix, counters),
        "best_rsum": np.float64(310.2),
        "opt": argparse.Namespace(data_name="coco_precomp", margin=0.2, finetune=False),
        "Eiters": 4000,
    }
    torch.save(content, path, **how)
    return path


def _same(left, right):
    states = left.state_dict(), right.state_dict()
    return all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_ucch_loads_the_authors_layout(tmp_path):
    trained, fresh = _ucch(), _ucch()
    assert not _same(trained, fresh)
    assert _same(fresh.load_released(_ucch_file(trained, tmp_path / "vgg11_16_best_checkpoint.t7")), trained)


def test_ucch_loads_safetensors_under_our_names(tmp_path):
    trained = _ucch()
    save_file(trained.state_dict(), tmp_path / "ucch.safetensors")
    assert _same(_ucch().load_released(tmp_path / "ucch.safetensors"), trained)


def test_ucch_of_another_code_length_names_both_lengths(tmp_path):
    path = _ucch_file(_ucch(bits=32), tmp_path / "32.t7")
    with pytest.raises(DataError, match=r"32 bits.*bits=16"):
        _ucch(bits=16).load_released(path)


def test_ucch_of_another_depth_names_the_first_keys_that_differ(tmp_path):
    path = _ucch_file(_ucch(layers=4), tmp_path / "deep.t7")
    with pytest.raises(DataError, match=r"image_model\.fc\.6\.weight is unknown"):
        _ucch(layers=3).load_released(path)


def test_ucch_with_wider_features_names_both_shapes(tmp_path):
    path = _ucch_file(UCCH(image_dim=99, text_dim=7, bits=16, hidden_dim=10), tmp_path / "wide.t7")
    with pytest.raises(DataError, match=r"fc\.0\.weight has shape \(10, 99\) instead of \(10, 12\)"):
        _ucch().load_released(path)


def test_ucch_without_the_text_side_is_refused(tmp_path):
    torch.save({"image_model_state_dict": _ucch().image_model.state_dict()}, tmp_path / "half.t7")
    with pytest.raises(DataError, match=r"text_model\.fc\.0\.weight is missing"):
        _ucch().load_released(tmp_path / "half.t7")


@pytest.mark.parametrize("flickr30k", [False, True])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_vsrn_loads_the_authors_layout(tmp_path, prefix, flickr30k):
    trained, fresh = _vsrn(flickr30k=flickr30k), _vsrn(flickr30k=flickr30k)
    assert _same(fresh.load_released(_vsrn_file(trained, tmp_path / "model_best.pth.tar", prefix)), trained)


def test_vsrn_loads_a_file_of_python_2_and_the_old_library(tmp_path):
    trained, path = _vsrn(), tmp_path / "model_best.pth.tar"
    how = {"pickle_module": PYTHON_2, "_use_new_zipfile_serialization": False}
    _vsrn_file(trained, path, counters=False, **how)
    assert b"U\x05model" in path.read_bytes()  # byte strings indeed
    assert _same(_vsrn().load_released(path), trained)


def test_vsrn_loads_safetensors_and_leaves_a_captioner_in_it_alone(tmp_path):
    trained = _vsrn()
    captioner = {f"caption_model.{k}": v for k, v in Captioner(30, 8, 6, 5).state_dict().items()}
    save_file(trained.state_dict() | captioner, tmp_path / "vsrn.safetensors")
    assert _same(_vsrn().load_released(tmp_path / "vsrn.safetensors"), trained)


def test_vsrn_of_another_vocabulary_names_both_sizes(tmp_path):
    path = _vsrn_file(_vsrn(vocab_size=31), tmp_path / "words.pth.tar")
    with pytest.raises(DataError, match="31 words.*30"):
        _vsrn(vocab_size=30).load_released(path)


@pytest.mark.parametrize(("flickr30k", "named"), [(True, "Flickr30K"), (False, "COCO")])
def test_vsrn_of_the_other_branch_says_what_to_set(tmp_path, flickr30k, named):
    path = _vsrn_file(_vsrn(flickr30k=flickr30k), tmp_path / "branch.pth.tar")
    with pytest.raises(DataError, match=f"{named} branch.*final_batch_norm to {str(flickr30k).lower()}"):
        _vsrn(flickr30k=not flickr30k).load_released(path)


def test_vsrn_refuses_the_file_of_another_model(tmp_path):
    path = _ucch_file(_ucch(), tmp_path / "other.t7")
    with pytest.raises(DataError, match=r"img_enc\.fc\.weight is missing"):
        _vsrn().load_released(path)


def test_vsrn_refuses_a_model_that_is_not_two_dicts(tmp_path):
    torch.save({"model": _vsrn().img_enc.state_dict()}, tmp_path / "one.pth.tar")
    with pytest.raises(DataError, match="two state dicts"):
        _vsrn().load_released(tmp_path / "one.pth.tar")


class _Attack:
    def __reduce__(self):
        return print, ("this must not run",)


def test_a_pickle_that_asks_for_code_is_not_opened(tmp_path, capsys):
    torch.save({"model": _Attack()}, tmp_path / "attack.pth.tar")
    with pytest.raises(DataError, match="pickle can run code"):
        read_checkpoint(tmp_path / "attack.pth.tar")
    assert "must not run" not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["cut.pth.tar", "cut.safetensors"])
def test_a_damaged_file_is_named(tmp_path, name):
    whole = tmp_path / "whole"
    if name.endswith("safetensors"):
        save_file(_ucch().state_dict(), whole)
    else:
        _ucch_file(_ucch(), whole)
    (tmp_path / name).write_bytes(whole.read_bytes()[:700])
    with pytest.raises(DataError, match=name):
        read_checkpoint(tmp_path / name)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"no weights file .*nowhere\.pth"):
        read_checkpoint(tmp_path / "nowhere.pth")


def test_a_file_that_is_no_dict_is_refused(tmp_path):
    torch.save(torch.zeros(3), tmp_path / "tensor.pth")
    with pytest.raises(DataError, match="holds a Tensor"):
        read_checkpoint(tmp_path / "tensor.pth")


def test_every_message_is_one_line(tmp_path):
    torch.save({"model": _Attack()}, tmp_path / "attack.pth.tar")
    for path in (tmp_path / "attack.pth.tar", tmp_path / "nowhere", _ucch_file(_ucch(), tmp_path / "u.t7")):
        with pytest.raises(DataError) as caught:
            _vsrn().load_released(path)
        assert "\n" not in str(caught.value)
