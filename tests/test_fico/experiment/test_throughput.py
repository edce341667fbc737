"""Every key under ``throughput`` does something, and none of them changes what a run computes but for rounding."""

from types import SimpleNamespace

import numpy as np
import pytest
import pytorch_lightning as L
import torch
from omegaconf import OmegaConf
from torch import nn

from fico.embeddings.encode import AutoBatchSize
from fico.errors import UsageError
from fico.experiment import runner
from fico.experiment.config.checks import check_config
from fico.experiment.config.throughput import DEFAULTS, throughput_problems
from fico.experiment.data import build_data
from fico.experiment.datamodule import RetrievalDataModule
from fico.experiment.resume.unfinished import Unfinished
from fico.experiment.throughput import compile_network, fit_evaluation_batch
from fico.features.base import SplitInputs
from fico.types import Correspondence, EncodedBatch, PairBatch
from fico.util.compute.torch_settings import set_float32_precision, torch_settings_kept
from tests.configs import composed

IMAGES = 4096


@pytest.fixture
def data():
    words = [("a",) * (1 + row % 7) for row in range(IMAGES)]
    split = SimpleNamespace(
        name="test", dataset="made", correspondence=Correspondence(np.arange(IMAGES)), captions=("a",) * IMAGES,
        image_ids=tuple(map(str, range(IMAGES))), caption_ids=tuple(map(str, range(IMAGES))), tokens=tuple(words),
    )  # fmt: skip
    rows = np.arange(IMAGES, dtype=np.float32)[:, None]
    inputs = SimpleNamespace(splits={"test": SplitInputs(rows, rows, None)})
    return RetrievalDataModule({"test": split}, inputs, test_split="test", batch_size=8, seed=0)


class SmallMemory(L.LightningModule):
    """Runs out of memory above some images."""

    def __init__(self, most):
        super().__init__()
        self.most, self.seen = most, []

    def test_step(self, batch, index):
        self.seen.append(len(batch.images))
        if len(batch.images) > self.most:
            raise torch.cuda.OutOfMemoryError
        return EncodedBatch(batch.images, batch.image_ids, batch.texts, batch.text_ids)


def trainer(device="cuda", world_size=1):
    strategy = SimpleNamespace(root_device=torch.device(device), batch_to_device=lambda batch: batch)
    plugin = L.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False).precision_plugin
    return SimpleNamespace(strategy=strategy, world_size=world_size, precision_plugin=plugin)


@pytest.fixture
def on_gpu(monkeypatch):
    monkeypatch.setattr(SmallMemory, "to", lambda self, device: self)


@pytest.mark.parametrize(
    ("most", "found", "tried"), [(300, 256, [128, 256, 512]), (10**6, 1024, [128, 256, 512, 1024])]
)
def test_auto_is_the_largest_batch_that_fits(data, on_gpu, most, found, tried):
    module = SmallMemory(most)
    fit_evaluation_batch(trainer(), module, data)
    assert (data.evaluation_batch, module.seen) == (found, tried)


@pytest.mark.parametrize(
    ("images", "copies", "found"),
    [(1000, None, 125), (1000, 1, 125), (1000, 10, 1024), (4096, None, 512), (100, None, 12), (100, 1, 64)],
)
def test_a_loader_takes_as_much_of_the_found_batch_as_leaves_enough_batches(data, on_gpu, images, copies, found):
    """The split itself (None), or so many copies of it."""
    split = data.splits["test"]
    split.correspondence, split.image_ids = Correspondence(np.arange(images)), split.image_ids[:images]
    split.captions, split.caption_ids = split.captions[:images], split.caption_ids[:images]
    rows = np.zeros((images, 1), np.float32)
    data.inputs.splits["test"] = SplitInputs(rows, rows, None)
    fit_evaluation_batch(trainer(), SmallMemory(10**6), data)
    loader = data.test_dataloader() if copies is None else data.copies_dataloader(copies)
    assert len(next(iter(loader)).images) == found


def test_auto_sees_through_an_encoder_that_halves_its_batches(data, on_gpu):
    class Halving(SmallMemory):
        def __init__(self, most):
            super().__init__(most)
            self.encode = AutoBatchSize(self.rows)

        def rows(self, images):
            if len(images) > self.most:
                raise torch.cuda.OutOfMemoryError
            return images

        def test_step(self, batch, index):
            return self.encode(batch.images)

    module = Halving(300)
    fit_evaluation_batch(trainer(), module, data)
    assert data.evaluation_batch == 256
    assert module.encode.most is None
    assert len(module.encode(torch.zeros(1000, 1))) == 1000


def test_auto_tries_the_longest_captions(data):
    batch = data.longest_batch(500)
    assert set((batch.text_ids % 7).tolist()) == {6}


def test_auto_changes_nothing_on_a_cpu_and_is_refused_with_several_processes(data):
    module = SmallMemory(0)
    fit_evaluation_batch(trainer("cpu"), module, data)
    assert (data.evaluation_batch, module.seen) == (64, [])
    with pytest.raises(UsageError, match="give a number"):
        fit_evaluation_batch(trainer(world_size=2), module, data)


def test_batches_are_pinned_where_they_go_to_a_gpu_or_are_told_to(data, monkeypatch):
    assert data.test_dataloader().pin_memory is False
    data.trainer = SimpleNamespace(
        strategy=SimpleNamespace(root_device=torch.device("cuda")), global_rank=0, world_size=1
    )
    assert data.test_dataloader().pin_memory is True
    data.pin_memory = False
    assert data.test_dataloader().pin_memory is False
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: self + 1)
    pinned = PairBatch(*[torch.zeros(2, dtype=torch.int64)] * 4).pin_memory()
    assert pinned.texts.tolist() == [1, 1]
    assert pinned.lengths is None


def test_compiled_methods_give_the_same_and_keep_the_names_of_weights():
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.map = nn.Linear(3, 2)

        def encode_images(self, images):
            return self.map(images)

    network, rows, graphs = Network(), torch.randn(4, 3), []
    wanted, names = network.encode_images(rows), list(network.state_dict())

    def counting(graph, inputs):
        graphs.append(graph)
        return graph.forward

    torch._dynamo.register_backend(counting, name="counting_of_a_test")
    compile_network(network, "counting_of_a_test")
    assert torch.equal(network.encode_images(rows), wanted)
    assert len(graphs) == 1
    assert list(network.state_dict()) == names
    with pytest.raises(UsageError, match="take one of .*inductor"):
        compile_network(network, "no_such_backend")


def test_the_keys_reach_the_loaders_and_torch(monkeypatch):
    from fico.experiment import training

    keys = ("workers=1", "evaluation_batch=3", "pin_memory=false", "matmul_precision=high")
    config = composed("logger=none", "model=vsrn", "dataset.images=40", *(f"throughput.{key}" for key in keys))
    data = build_data(config)
    assert (data.workers, data.evaluation_batch, data.pin_memory) == (1, 3, False)
    assert data.train_dataloader().num_workers == 1

    class Reached(Exception):
        pass

    def reach(_):
        raise Reached

    monkeypatch.setattr(training, "build_module", reach)
    with torch_settings_kept():
        with pytest.raises(Reached):
            training.train_and_test(config, data, None, [])
        assert torch.get_float32_matmul_precision() == "high"


@pytest.mark.parametrize(("precision", "allows_tf32"), [("highest", False), ("high", True), ("medium", True)])
def test_convolutions_and_recurrent_layers_follow_the_precision_of_products(precision, allows_tf32):
    with torch_settings_kept():
        torch.backends.cudnn.allow_tf32 = not allows_tf32
        set_float32_precision(precision)
        assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == (precision, allows_tf32)


def _settings():
    is_deterministic, cudnn = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn
    return torch.get_float32_matmul_precision(), is_deterministic, cudnn.benchmark, cudnn.allow_tf32


@pytest.mark.parametrize(("precision", "allows_tf32"), [("medium", True), ("highest", False)])
def test_the_next_job_of_a_sweep_finds_torch_as_this_one_did(monkeypatch, tmp_path, precision, allows_tf32):
    def set_all(config, *_):
        set_float32_precision(config.throughput.matmul_precision)
        L.Trainer(deterministic=True, benchmark=True, accelerator="cpu", logger=False, enable_checkpointing=False)
        assert _settings() == (config.throughput.matmul_precision, True, True, allows_tf32)
        raise UsageError("stopped")

    monkeypatch.setattr(runner, "train_and_test", set_all)
    monkeypatch.setattr(runner, "run_metadata", lambda *_: {})  # Hydra's choices, outside of Hydra
    config = composed("logger=none", "model=cca", "dataset.images=40", f"throughput.matmul_precision={precision}")
    before = _settings()
    with pytest.raises(UsageError, match="stopped"):
        runner.run(config, Unfinished(tmp_path, "request"))
    assert _settings() == before


def test_the_defaults_are_those_of_the_config():
    config = OmegaConf.to_container(composed())
    assert config["throughput"] == DEFAULTS
    assert list(throughput_problems(DEFAULTS)) == []


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("throughput.matmul_precision=tf32", "must be one of highest, high, medium"),
        ("throughput.evaluation_batch=0", "auto or a whole number"),
        ("throughput.workers=-1", "of at least 0"),
        ("throughput.pin_memory=1", "null, true or false"),
        ("throughput.compile=true", "such as inductor"),
        ("+throughput.batch=3", "unknown key throughput.batch"),
    ],
)
def test_a_wrong_value_is_named(override, named):
    with pytest.raises(UsageError, match=named):
        check_config(composed(override))


def test_a_bench_refuses_them():
    with pytest.raises(UsageError, match="a bench runs without throughput"):
        check_config(composed("experiment=table7", "throughput.workers=2"))
