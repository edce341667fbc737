"""Where an evaluation runs and what it takes there, decided from the properties that a device reports."""

import numpy as np
import pytest
import torch

from fico.bench.metrics.operations import OperationCount
from fico.errors import UsageError
from fico.evaluation.engine import find_device
from fico.evaluation.engines.device_memory import plan_device
from fico.evaluation.evaluate import evaluate
from fico.evaluation.options import EvaluationOptions
from fico.evaluation.relevance import InstanceRetrieval
from fico.evaluation.retrieval_metrics import RetrievalMetrics
from fico.types import Correspondence

GPU = torch.device("cuda")
GIB = 2**30


class There(torch.Tensor):
    """A tensor that says it lies on a GPU."""

    device = torch.device("cuda:0")


@pytest.fixture
def gpu(monkeypatch):
    """A GPU as far as anybody asks, with 40 GiB free."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device=None: (40 * GIB, 80 * GIB))


@pytest.mark.parametrize(
    ("where", "device", "engine", "wanted"),
    [
        ("gpu", "auto", "auto", "cuda:0"),  # auto: where the rows are, which is where the module is
        ("gpu", "cuda", "auto", "cuda"),
        ("gpu", "cpu", "auto", None),  # None: the compiled kernels
        ("gpu", "cpu", "torch", "cpu"),
        ("gpu", "auto", "torch", "cuda:0"),
        ("cpu", "auto", "auto", None),
        ("cpu", "auto", "torch", "cpu"),
        ("cpu", "cuda", "auto", "cuda"),
        ("cpu", "auto", "compiled", None),
    ],
)
def test_the_device_is_that_of_the_rows_or_the_chosen_one(gpu, where, device, engine, wanted):
    rows = torch.zeros(1, 1).as_subclass(There) if where == "gpu" else np.zeros((1, 1))
    found = find_device(rows, EvaluationOptions(device=device, engine=engine))
    assert found == (None if wanted is None else torch.device(wanted))


def test_the_compiled_kernels_refuse_a_gpu_and_a_gpu_that_is_not_there_is_refused(gpu, monkeypatch):
    with pytest.raises(UsageError, match="engine='compiled' runs on the CPU, got device cuda; give device='cpu'"):
        find_device(np.zeros((1, 1)), EvaluationOptions(device="cuda", engine="compiled"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="device='cuda' needs a CUDA device"):
        find_device(np.zeros((1, 1)), EvaluationOptions(device="cuda"))


@pytest.mark.parametrize(("device", "kept"), [("auto", "cuda:0"), ("cuda", "cuda"), ("cpu", "cpu")])
def test_the_object_keeps_its_rows_where_they_are_evaluated(gpu, monkeypatch, device, kept):
    monkeypatch.setattr(RetrievalMetrics, "device", property(lambda self: torch.device("cuda:0")))
    metric = RetrievalMetrics.__new__(RetrievalMetrics)
    torch.nn.Module.__init__(metric)
    metric.options = EvaluationOptions(device=device)
    assert metric._device_of_rows() == torch.device(kept)


def plan(images, captions, dim, device=GPU, **options):
    instance = InstanceRetrieval(Correspondence(np.arange(captions) * images // captions), images)
    return plan_device(instance, dim, np.dtype(np.float32), EvaluationOptions(**options), device, classes=80)


def test_a_gallery_of_coco_is_one_block_a_direction_within_8_gib(gpu):
    found = plan(5_000, 25_000, 1024)
    assert found.predicted_bytes <= 8 * GIB
    assert found.i2t_rows * 2 >= 5_000
    assert found.t2i_rows * 2 >= 25_000


def test_half_a_million_captions_with_whole_rankings_stay_within_8_gib(gpu):
    found = plan(100_000, 500_000, 256)
    assert 4 * GIB < found.predicted_bytes <= 8 * GIB
    assert -(-100_000 // found.i2t_rows) + -(-500_000 // found.t2i_rows) < 1500  # blocks


def test_a_gpu_with_little_free_memory_gets_half_of_it(gpu, monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device=None: (3 * GIB, 80 * GIB))
    assert plan(5_000, 25_000, 1024).predicted_bytes <= 1.5 * GIB


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("similarity", ["cosine", "euclidean"])
def test_half_precision_is_never_copied_as_a_whole(dtype, similarity, monkeypatch):
    """Only pieces are cast, as the counted allocations show."""
    for module in ("score_sources", "engines.device_memory"):
        monkeypatch.setattr(f"fico.evaluation.{module}.DEVICE_CAST_BYTES", 2**17)
    images, texts, dim = 200, 1000, 1024
    generator = torch.Generator().manual_seed(0)
    sides = [torch.randn(rows, dim, generator=generator).to(dtype) for rows in (images, texts)]
    pairs = Correspondence(np.arange(texts) // 5)
    options = EvaluationOptions(tasks=("instance",), bootstrap=0, block=50, recall_at=(1,), engine="torch")
    with OperationCount() as count:
        evaluate(*sides, pairs, similarity=similarity, options=options)
    width = 8 if similarity == "euclidean" else 4
    assert count.peak_bytes - sum(side.nbytes for side in sides) < texts * dim * width / 4  # the inputs are counted too
    assert count.peak_bytes <= plan_device(
        InstanceRetrieval(pairs, images), dim, np.dtype(f"f{width}"), options, torch.device("cpu")
    ).predicted_bytes  # fmt: skip


def test_the_predicted_memory_is_logged(caplog):
    rows = np.eye(30, 8, dtype=np.float32)
    with caplog.at_level("DEBUG"):
        evaluate(rows, rows, Correspondence(np.arange(30)), engine="torch", bootstrap=0)
    assert "30 images, 30 captions: at most" in caplog.text
