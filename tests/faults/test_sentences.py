"""Errors of part of the user, each provoked for real: one true sentence, known before anything costly."""

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch

import fico
from fico.cli.evaluate import Sources, read_outputs
from fico.errors import DataError, FicoError, UsageError
from fico.experiment.metrics import metric_options
from fico.formats.arrays import load_array
from fico.networks.checkpoint_io.load import CodeInCheckpoint, join_encoders, read_checkpoint
from fico.report.results.schema import read_results
from fico.util.damaged import readable
from fico.util.disk_errors import disk_sentence
from fico.util.zip_records import is_weights_file

ROOT = Path(__file__).resolve().parents[2]


class Own:
    """A class that a checkpoint must not build."""


@pytest.fixture
def arrays(tmp_path):
    np.save(tmp_path / "i.npy", np.eye(4, dtype=np.float32))
    np.save(tmp_path / "t.npy", np.eye(4))
    return tmp_path


def test_a_folder_given_as_a_file_is_called_a_folder(tmp_path):
    with pytest.raises(DataError, match=r"is a folder; give the path of a file"):
        load_array(str(tmp_path))


def test_a_cut_array_says_that_it_ends_early_and_nothing_of_mmap(arrays):
    path = arrays / "i.npy"
    path.write_bytes(path.read_bytes()[:150])
    with pytest.raises(DataError, match="it ends before its data do") as caught:
        load_array(str(path))
    assert "mmap" not in str(caught.value)


def test_two_files_of_other_precision_are_compared_in_the_wider_one(arrays):
    given = {"images": str(arrays / "i.npy"), "texts": str(arrays / "t.npy"), "captions_per_image": 1}
    empty = {field.name: None for field in fields(Sources)} | {"layout": "rectangular"}
    sources = Sources(**(empty | given))
    outputs = read_outputs(sources, "cosine")
    assert outputs.images.dtype == outputs.texts.dtype == np.float64


def test_a_missing_file_is_told_before_numpy_is_imported(tmp_path):
    program = (
        "import sys\nfrom typer.testing import CliRunner\nfrom fico.cli.app import app\n"
        f"files = ['--images', '{tmp_path}/no.npy', '--texts', '{tmp_path}/no.npy']\n"
        "done = CliRunner().invoke(app, ['evaluate', *files])\n"
        "assert done.exit_code == 2, done.output\nassert 'no.npy does not exist' in done.output\n"
        "print([name for name in ('torch', 'numba') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_refused_checkpoint_names_the_class_and_no_advice_to_load_it_unsafely(tmp_path):
    torch.save({"a": Own()}, tmp_path / "own.pth")
    with pytest.raises(CodeInCheckpoint, match="it holds a .*Own") as caught:
        read_checkpoint(tmp_path / "own.pth")
    assert "weights_only" not in str(caught.value)


def test_a_later_pickle_protocol_is_named(tmp_path):
    torch.save({"a": torch.ones(2)}, tmp_path / "four.pth", pickle_protocol=4)
    with pytest.raises(CodeInCheckpoint, match="protocol above 2"):
        read_checkpoint(tmp_path / "four.pth")


def test_a_list_of_numbers_is_no_pair_of_encoders():
    with pytest.raises(DataError, match="not a list of two state dicts"):
        join_encoders({"model": [1, 2]}, "file.pth")


@pytest.mark.parametrize(
    ("content", "is_one"), [(b"junk", False), (b"", False), (b"PK\x03\x04", True), (b"\x80", True)]
)
def test_weights_of_another_kind_are_known_by_their_first_bytes(tmp_path, content, is_one):
    (tmp_path / "w.pth").write_bytes(content)
    assert is_weights_file(tmp_path / "w.pth") is is_one


def test_a_folder_that_is_no_run_is_not_called_a_failed_one(tmp_path):
    with pytest.raises(DataError, match="is no folder of a run"):
        read_results(tmp_path)
    with pytest.raises(DataError, match="there is no file or folder"):
        read_results(tmp_path / "none")
    (tmp_path / "config.yaml").touch()
    with pytest.raises(DataError, match="that run failed, was stopped or is still going"):
        read_results(tmp_path)


@pytest.mark.parametrize("below", ["file", "file/run"])
def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path, below):
    (tmp_path / "file").touch()
    with pytest.raises(OSError) as caught:
        (tmp_path / below).mkdir()
    assert "cannot be made" in disk_sentence(caught.value)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [("karpathy", {}, "missing a required argument: 'root'"), ("shapes", {"roots": 1}, "Shapes takes images, seed")],
)
def test_arguments_of_a_data_set_are_named(name, options, message):
    with pytest.raises(UsageError, match=message):
        fico.load_dataset(name, **options)


def test_metrics_must_be_metrics_by_name():
    from omegaconf import OmegaConf

    with pytest.raises(UsageError, match="must be metrics by name"):
        metric_options(OmegaConf.create({"metric": {"metrics": "tiny"}}))


@pytest.mark.parametrize(
    "raised", [IndexError("x\ny"), MemoryError(), RecursionError("deep"), EOFError(), KeyError("a")]
)
def test_any_error_of_a_reader_is_one_sentence_that_names_the_file(tmp_path, raised):
    with (
        pytest.raises(DataError, match=r"a\.npz is damaged or of another form \(.+\); fetch it again") as caught,
        readable(tmp_path / "a.npz", "fetch it again"),
    ):
        raise raised
    assert "\n" not in str(caught.value)


def test_an_error_of_ours_passes_through():
    with pytest.raises(FicoError, match="^as it was$"), readable("a", "b"):
        raise FicoError("as it was")
