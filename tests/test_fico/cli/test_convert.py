"""``fico convert``: every authors' layout becomes safetensors that the network loads, and nothing else does."""

import argparse
import sys
import types
from collections import OrderedDict

import pytest
import torch
from safetensors import safe_open
from typer.testing import CliRunner

from fico.cli.app import app
from fico.networks.adv import ADV
from fico.networks.blocks.bert import Bert
from fico.networks.dadh import DADH
from fico.networks.imram import IMRAM
from fico.networks.scan import SCAN
from fico.networks.ucch import UCCH
from fico.networks.vsrn import VSRN


def convert(*arguments):
    return CliRunner().invoke(app, ["convert", *map(str, arguments)])


def ucch(**how):
    return UCCH(image_dim=12, text_dim=7, bits=16, hidden_dim=10, **how)


def adv(**how):
    sizes = {"region_dim": 16, "region_heads": 4, "region_inner_dim": 24, "word_dim": 8, "max_words": 9, "channels": 6}
    return ADV(image_dim=12, bits=16, **sizes, **how)


def bert():
    return Bert(vocab_size=40, dim=8, layers=2, heads=2, inner_dim=16, positions=12, dropout=0.0)


def vsrn(**how):
    return VSRN(image_dim=9, vocab_size=30, embed_dim=8, word_dim=5, **how)


def scan(**how):
    return SCAN(image_dim=9, vocab_size=30, embed_dim=8, word_dim=5, **how)


def imram():
    return IMRAM(image_dim=9, vocab_size=30, embed_dim=8, word_dim=5)


def parts(network, prefix="", more=()):
    """A list of two encoders, with options and scores around it."""
    lists = [
        OrderedDict((prefix + name, value) for name, value in part.state_dict().items())
        for part in (network.img_enc, network.txt_enc)
    ]
    return {"epoch": 3, "model": [*lists, *more], "best_rsum": 310.2, "opt": argparse.Namespace(margin=0.2)}


def two_dicts(network):
    return {"image_model_state_dict": network.image_model.state_dict(), "epoch": 3} | {
        "text_model_state_dict": network.text_model.state_dict(), "Avg": 0.5,
    }  # fmt: skip


def renamed(network):
    return {
        "model": {
            "module." + name.replace("img_enc.fc", "img_enc.fc_local"): value
            for name, value in network.state_dict().items()
        }
    }


LAYOUTS = {
    "ucch": ("ucch", ucch, two_dicts),
    "ucch deeper": ("ucch", lambda: ucch(image_layers=4, text_layers=3), two_dicts),
    "dadh": ("dadh", lambda: DADH(12, 7, 16, 32), lambda network: network.state_dict()),
    "dadh with dropout": ("dadh", lambda: DADH(12, 7, 16, 32, dropout=0.5), lambda network: network.state_dict()),
    "adv": ("adv", adv, lambda network: parts(network, more=[{"fc.weight": torch.zeros(2, 16)}])),
    "adv with its text model": ("adv", lambda: adv(bert=bert()), parts),
    "adv screening": ("adv", lambda: adv(is_screening=True), parts),
    "vsrn": ("vsrn", vsrn, lambda network: parts(network, "module.")),
    "vsrn flickr30k": ("vsrn", lambda: vsrn(normalise_regions=False, final_batch_norm=True), parts),
    "scan": ("scan", scan, parts),
    "scan weight norm": ("scan", lambda: scan(weight_norm=True, bidirectional=False), parts),
    "imram": ("imram", imram, renamed),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_was_converted_loads_and_is_the_same(tmp_path, layout):
    model, make, pack = LAYOUTS[layout]
    trained, fresh = make(), make()
    with torch.no_grad():
        for value in trained.state_dict().values():
            value.add_(1)
    torch.save(pack(trained), tmp_path / "model_best.pth.tar")
    done = convert(tmp_path / "model_best.pth.tar", "--model", model, "--out", tmp_path / "out.safetensors")
    assert done.exit_code == 0, done.output
    assert f"model={model} model.weights={tmp_path / 'out.safetensors'}" in done.stdout
    fresh.load_released(tmp_path / "out.safetensors")
    assert all(torch.equal(value, trained.state_dict()[name]) for name, value in fresh.state_dict().items())
    with safe_open(tmp_path / "out.safetensors", "pt") as file:
        assert file.metadata()["model"] == model


def test_the_result_stands_beside_the_file_and_can_be_converted_again(tmp_path):
    torch.save(two_dicts(ucch()), tmp_path / "best.t7")
    assert convert(tmp_path / "best.t7", "--model", "ucch").exit_code == 0
    again = convert(tmp_path / "best.safetensors", "--model", "ucch", "--out", tmp_path / "again.safetensors")
    assert again.exit_code == 0
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "best.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("pack", "message"),
    [
        (lambda: two_dicts(ucch()) | {"text_model_state_dict": {}}, "text_model.fc.0.weight is missing"),
        (lambda: {"fc.weight": torch.zeros(2, 2)}, "image_model.fc.0.weight is missing"),
        (lambda: two_dicts(ucch()) | {"image_model_state_dict": {"fc.0.weight": 5}}, "fc.0.weight is a int"),
        (lambda: ucch().state_dict() | {"text_model.fc.0.bias": torch.zeros(10, 1)}, "has 2 axes instead of 1"),
        (lambda: ucch().state_dict() | {"head.weight": torch.zeros(3)}, "head.weight is unknown"),
    ],
)
def test_weights_of_something_else_are_refused_and_nothing_is_written(tmp_path, pack, message):
    torch.save(pack(), tmp_path / "other.pth")
    done = convert(tmp_path / "other.pth", "--model", "ucch")
    assert done.exit_code == 1
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["other.pth"]


class Options:
    """Stands for a class of the authors, which only their code can build."""

    margin = 0.2

    def __reduce__(self):
        return print, ("code ran",)


def test_a_pickle_that_asks_for_code_needs_trust_and_is_warned_of(tmp_path, capfd):
    torch.save(two_dicts(ucch()) | {"opt": Options()}, tmp_path / "best.t7")
    done = convert(tmp_path / "best.t7", "--model", "ucch")
    assert done.exit_code == 1
    assert "fico convert --trust" in done.stderr
    assert "code ran" not in done.output + capfd.readouterr().out
    trusted = convert(tmp_path / "best.t7", "--model", "ucch", "--trust")
    assert trusted.exit_code == 0
    assert "pickle with code" in trusted.stderr
    assert "code ran" in trusted.stdout + capfd.readouterr().out
    ucch().load_released(tmp_path / "best.safetensors")


def test_code_that_is_not_installed_and_a_cut_pickle_are_named_with_trust(tmp_path, monkeypatch):
    gone = types.ModuleType("authors_options")
    monkeypatch.setitem(sys.modules, "authors_options", gone)
    gone.Values = type("Values", (), {"__module__": "authors_options", "__qualname__": "Values"})
    torch.save(two_dicts(ucch()) | {"opt": gone.Values()}, tmp_path / "best.t7", _use_new_zipfile_serialization=False)
    monkeypatch.delitem(sys.modules, "authors_options")
    assert "needs code that is not installed" in convert(tmp_path / "best.t7", "--model", "ucch", "--trust").stderr
    (tmp_path / "cut.t7").write_bytes((tmp_path / "best.t7").read_bytes()[:300])
    cut = convert(tmp_path / "cut.t7", "--model", "ucch", "--trust")
    assert cut.exit_code == 1
    assert "cannot be read as weights" in cut.stderr


def test_weights_alone_run_no_code_and_give_no_warning_with_trust_either(tmp_path):
    torch.save(two_dicts(ucch()), tmp_path / "best.t7")
    done = convert(tmp_path / "best.t7", "--model", "ucch", "--trust")
    assert done.exit_code == 0
    assert not done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("best.t7", "--model", "clip"), 2, "give one of adv, beit3, blip2, dadh, imram, scan, ucch, vsrn, xvlm"),
        (("best.t7", "--model", "ucch", "--out", "weights.pt"), 2, "ends with .safetensors"),
        (("best.safetensors", "--model", "ucch"), 2, "another --out"),
        (("nowhere.t7", "--model", "ucch"), 2, "no weights file nowhere.t7"),
    ],
)
def test_wrong_arguments_are_named(tmp_path, monkeypatch, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    torch.save(two_dicts(ucch()), "best.t7")
    done = convert(*arguments)
    assert done.exit_code == code
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_weights_with_nan_are_not_converted(tmp_path):
    network = ucch()
    torch.nn.init.constant_(network.text_model.fc[0].bias, float("nan"))
    torch.save(
        {f"{side}_state_dict": getattr(network, side).state_dict() for side in ("image_model", "text_model")},
        tmp_path / "best.t7",
    )
    result = convert(tmp_path / "best.t7", "--model", "ucch")
    assert result.exit_code == 1
    assert "NaN or infinite weights: text_model.fc.0.bias" in " ".join(result.stderr.split())
    assert not (tmp_path / "best.safetensors").exists()


@pytest.mark.parametrize(("name", "network"), [("scan", scan), ("vsrn", vsrn)])
def test_deep_grus_are_converted(tmp_path, name, network):
    torch.save(parts(network(num_layers=2)), tmp_path / "best.pth.tar")
    assert convert(tmp_path / "best.pth.tar", "--model", name).exit_code == 0
    network(num_layers=2).load_released(tmp_path / "best.pth.safetensors")
