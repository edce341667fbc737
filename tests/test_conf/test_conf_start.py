"""What this machine, FAISS or the weights cannot do is told before the data are read and Lightning is loaded."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from lightning_fabric.connector import _convert_precision_to_unified_args
from safetensors.torch import load_file, save_file

from fico.errors import UsageError
from fico.experiment.config import checks
from fico.experiment.config.checks import check_config
from fico.experiment.config.pairing import check_data
from fico.experiment.config.start import wrong_start
from fico.networks.scan import SCAN
from fico.networks.vsrn import VSRN
from tests.configs import composed
from tests.warm_python import WarmPython

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Weights of SCAN and VSRN, as .safetensors and in the form of the authors and of a run."""
    folder = tmp_path_factory.mktemp("weights")
    networks = {
        "scan": SCAN(image_dim=5, vocab_size=7, embed_dim=4, word_dim=3),
        "vsrn": VSRN(image_dim=5, vocab_size=7, embed_dim=4, word_dim=3),
    }
    for name, network in networks.items():
        state = network.state_dict()
        save_file(state, folder / f"{name}.safetensors")
        torch.save({"state_dict": {f"network.{key}": value for key, value in state.items()}}, folder / f"{name}.ckpt")
        sides = [
            {f"module.{key[8:]}": value for key, value in state.items() if key.startswith(side)}
            for side in ("img_enc.", "txt_enc.")
        ]
        torch.save({"model": sides, "epoch": 3}, folder / f"{name}.pth.tar")
    return folder


@pytest.mark.parametrize("suffix", ["safetensors", "pth.tar", "ckpt"])
@pytest.mark.parametrize("model", ["scan", "vsrn", "ucch"])
@pytest.mark.parametrize("of", ["scan", "vsrn"])
def test_weights_of_another_model_are_refused_and_its_own_pass(files, model, of, suffix):
    key = "model.checkpoint" if suffix == "ckpt" else "model.weights"
    found = list(wrong_start(composed(f"model={model}", f"{key}={files / f'{of}.{suffix}'}")))
    assert len(found) == (model != of)
    if model != of:
        assert f"{of}.{suffix}, which holds weights of another model: the model here has no" in found[0]
        assert f"give a file of {model}, or set model=" in found[0]


def test_weights_that_a_training_loop_wrapped_come_with_the_line_that_unwraps_them(files, tmp_path):
    state = load_file(files / "scan.safetensors")
    torch.save({"state_dict": state}, tmp_path / "nested.pth")
    torch.save({f"module.{name}": value for name, value in state.items()}, tmp_path / "parallel.pth")
    for name, what in (("nested", "the weights lie under 'state_dict'"), ("parallel", "every name begins with 'mod")):
        (message,) = wrong_start(composed("model=scan", f"model.weights={tmp_path / name}.pth"))
        assert message.startswith(f"model.weights is {tmp_path / name}.pth: {what}")
        line = re.search(r"torch\.save\((.*), NEW\) with state", message)[1]
        assert eval(line, {"state": torch.load(tmp_path / f"{name}.pth")}).keys() == state.keys()


def test_a_checkpoint_of_a_run_given_as_weights_is_told(files, tmp_path):
    torch.save(torch.load(files / "scan.ckpt") | {"fico": {"data": "x"}}, tmp_path / "best.ckpt")
    (message,) = wrong_start(composed("model=scan", f"model.weights={tmp_path / 'best.ckpt'}"))
    assert message.endswith(f"which a run wrote; give it as model.checkpoint={tmp_path / 'best.ckpt'}")


def test_a_damaged_file_of_weights_is_told_at_once(files, tmp_path):
    (tmp_path / "cut.pth.tar").write_bytes((files / "scan.pth.tar").read_bytes()[:-200])
    (message,) = wrong_start(composed("model=scan", f"model.weights={tmp_path / 'cut.pth.tar'}"))
    assert "cut.pth.tar cannot be read as weights" in message


@pytest.mark.parametrize("accelerator", ["gpu", "cuda"])
def test_a_gpu_that_is_not_there_is_told(monkeypatch, accelerator):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(UsageError, match=f"trainer.accelerator is {accelerator}, but PyTorch .* finds no GPU"):
        check_config(composed("trainer=gpu", f"trainer.accelerator={accelerator}"), is_start=True)


def test_a_gpu_that_is_there_passes(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert not list(wrong_start(composed("trainer=gpu")))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["index.flat.factory=Foo"],
            r"index.flat.factory: FAISS .* 'Foo' .*\(could not parse index string Foo\)",
        ),
        (["+index.x.factory=BFoo"], r"index.x.factory: FAISS cannot build 'BFoo' .*did not generate an index"),
        (["index.flat.factory='HNSW32,PQ4'", "index.flat.metric=inner"], "by Euclidean distance, whatever the metric"),
    ],
)
def test_an_index_that_cannot_be_built_is_told(overrides, message):
    with pytest.raises(UsageError, match=message) as refusal:
        check_config(composed(*overrides), is_start=True)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("factory", ["'PQ7,RFlat'", "'IVF{lists},Flat'", "'BIVF{lists}'", "'PCA256,Flat'", "HNSW32"])
def test_an_index_that_some_width_allows_passes_where_only_the_data_know_the_width(factory):
    assert not list(wrong_start(composed("model=cca", f"index.flat.factory={factory}")))


@pytest.mark.parametrize(("model", "width"), [("vsrn", 128), ("ucch", 64), ("clip", 96), ("xvlm_nf", 64)])
def test_an_index_that_the_width_of_the_model_does_not_allow_is_told(model, width):
    (message,) = wrong_start(composed(f"model={model}", "index.flat.factory='PQ7,RFlat'"))
    assert message.startswith(f"index.flat.factory: FAISS cannot build 'PQ7,RFlat' for {width} columns")
    assert not list(wrong_start(composed(f"model={model}", "index.flat.factory='PQ8,RFlat'")))


@pytest.mark.parametrize("scarce", ["memory", "disk"])
def test_scenes_that_do_not_fit_are_refused_with_the_predicted_size(monkeypatch, tmp_path, scarce):
    for kind in ("memory", "disk"):
        monkeypatch.setattr(
            f"fico.util.resources.free_{kind}", lambda *_, kind=kind: 2 ** (30 if kind == scarce else 50)
        )
    config = composed("dataset.images=3000000", f"dataset.root={tmp_path}")
    with pytest.raises(UsageError, match=f"dataset.images=3000000 makes need .* GiB of {scarce}"):
        check_data(config)


@pytest.mark.parametrize("dataset", ["karpathy", "pairs"])
def test_labels_that_are_missing_are_told_by_the_folder(tmp_path, dataset):
    (tmp_path / "a.jpg").touch()
    (tmp_path / "pairs.csv").write_text("image,caption\na.jpg,x\n")
    config = composed(f"dataset={dataset}", f"dataset.root={tmp_path}", "metric=category")
    with pytest.raises(UsageError, match=f"metric=category needs labels, but {dataset} in {tmp_path} has none"):
        check_data(config)
    (tmp_path / "labels.npz").touch()
    check_data(config)


def check_refusal(code, stderr, imported):
    """One line, before what takes seconds to import."""
    assert code == 2
    assert len(stderr.splitlines()) == 1, stderr
    assert not {"pytorch_lightning", "torchmetrics", "transformers", "torch._dynamo"} & imported


def test_the_command_line_tells_of_too_many_scenes_before_torch_is_loaded(tmp_path):
    words = ("model=ucch", "dataset.images=1000000000", f"hydra.run.dir={tmp_path}/r")
    command = [sys.executable, "-X", "importtime", "run.py", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    lines = done.stderr.splitlines(keepends=True)
    times = [line for line in lines if "import time:" in line]
    imported = {line.rsplit("|", maxsplit=1)[1].strip() for line in times}
    check_refusal(done.returncode, "".join(line for line in lines if line not in times), imported)
    assert "hydra" in imported
    assert "torch" not in imported


@pytest.fixture(scope="module")
def python_with_torch(own_cache):
    python = WarmPython("wandb.apis.public", "torch", "hydra")
    yield python
    python.close()


@pytest.mark.parametrize(
    "override", ["trainer=gpu", "index.flat.factory=Foo", "model=vsrn model.weights={files}/scan.pth.tar"]
)
def test_the_command_line_tells_it_before_lightning_is_loaded(tmp_path, files, python_with_torch, override):
    if override == "trainer=gpu" and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    (tmp_path / "traced.py").write_text(
        "import runpy, sys\n"
        "try:\n    runpy.run_path('run.py', run_name='__main__')\nfinally:\n    print(*sys.modules, sep='\\n')\n"
    )
    words = ("model=ucch", *override.format(files=files).split(), f"hydra.run.dir={tmp_path}/r")
    done = python_with_torch(tmp_path / "traced.py", *words)
    check_refusal(done.returncode, done.stderr, set(done.stdout.splitlines()))
    assert "torch\n" in done.stdout


def test_a_value_with_a_comma_says_how_to_quote_it(tmp_path, warm_python):
    done = warm_python("run.py", "index.flat.factory=HNSW32,PQ4", f"hydra.run.dir={tmp_path}/r")
    assert done.returncode == 2
    assert done.stderr.strip().endswith("""quote it, as "index.flat.factory='HNSW32,PQ4'\"""")


def test_a_metric_that_cannot_be_imported_is_one_line():
    with pytest.raises(UsageError, match="metric.metrics.x._target_ 'fico.metrics.Foo' cannot be imported") as refusal:
        check_config(composed("+metric.metrics.x._target_=fico.metrics.Foo"))
    assert "\n" not in str(refusal.value)
    assert "Are you sure" not in str(refusal.value)


@pytest.mark.parametrize("precision", ["fp8", "64-mixed", "true"])
def test_a_precision_that_no_trainer_has_is_told_with_those_that_there_are(precision):
    with pytest.raises(UsageError, match=f"trainer.precision is '{precision}', but must be one of 64-true, 32-true"):
        check_config(composed(f"trainer.precision='{precision}'"))


@pytest.mark.parametrize("precision", [*checks.PRECISIONS, *checks._SHORT_PRECISIONS[1:]])
def test_the_precisions_are_lightnings(precision):
    assert _convert_precision_to_unified_args(precision)  # raises for another
