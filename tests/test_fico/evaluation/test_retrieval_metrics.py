"""The torchmetrics object: the numbers of `fico.evaluate` for any batches and processes, and memory that it frees."""

import doctest
import pickle
import weakref

import numpy as np
import pytest
import torch

import fico
from fico.embeddings.collect import FIELDS
from fico.errors import DataError, FicoError, UsageError
from fico.evaluation import gather, retrieval_metrics
from fico.evaluation.evaluate import evaluate, evaluate_scores
from fico.evaluation.retrieval_metrics import RetrievalMetrics
from fico.types import Correspondence, EncodedBatch
from tests.processes import in_two_processes

IMAGES, CLASSES = 13, 5
OPTIONS = {"bootstrap": 20, "recall_at": (1, 3, 10), "map_at": (5,)}


def problem(seed=0, dim=16):
    """Uneven captions (an image may have none) in no order, labels with empty rows."""
    generator = np.random.default_rng(seed)
    rows = generator.permutation(np.append(np.repeat(np.arange(IMAGES), generator.integers(0, 5, IMAGES)), 0))
    images = generator.standard_normal((IMAGES, dim)).astype(np.float32)
    texts = images[rows] + generator.standard_normal((len(rows), dim)).astype(np.float32)
    labels = generator.random((IMAGES, CLASSES)) < 0.3
    return torch.from_numpy(images), torch.from_numpy(texts), Correspondence(rows), labels


def batches(images, texts, image_ids, text_ids, count=3, states=False):
    """The rows of some ids in batches; states of as many words as the batch's longest text."""
    for image_rows, text_rows in zip(
        torch.tensor(image_ids).tensor_split(count), torch.tensor(text_ids).tensor_split(count), strict=True
    ):
        batch = EncodedBatch(images[image_rows], image_rows, texts[text_rows], text_rows)
        if states:
            batch.text_lengths = text_rows % 3 + 1
            batch.image_states = images[image_rows, None].expand(-1, 2, -1).bfloat16()
            words = torch.arange(int(batch.text_lengths.max())) < batch.text_lengths[:, None]
            batch.text_states = texts[text_rows, None] * words[..., None]
        yield batch


def updated(metric, parts):
    for batch in parts:
        metric.update(batch)
    return metric


def same(first, second):
    """To the last bit."""
    for name in ("metrics", "intervals", "tie_bounds", "queries", "definitions", "notes"):
        np.testing.assert_equal(getattr(first, name), getattr(second, name))
    for way in ("i2t", "t2i"):
        np.testing.assert_equal(first.per_query[way].values, second.per_query[way].values)


def shuffled(count, seed=1):
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed)).tolist()


@pytest.mark.parametrize("engine", ["compiled", "torch"])
@pytest.mark.parametrize("similarity", ["cosine", "inner", "euclidean", "hamming"])
def test_batches_in_any_order_give_the_numbers_of_evaluate(similarity, engine):
    images, texts, pairs, labels = problem()
    if similarity == "hamming":
        images, texts = images.sign(), texts.sign()
    options = {"labels": labels, "similarity": similarity, "engine": engine, **OPTIONS}
    metric = updated(
        fico.RetrievalMetrics(pairs, **options), batches(images, texts, shuffled(IMAGES), shuffled(len(texts)))
    )
    same(metric.compute(), evaluate(images, texts, pairs, **options))
    assert torch.equal(metric.encoded.images, images)
    assert torch.equal(metric.encoded.texts, texts)


def test_scores_of_pairs_are_made_from_the_ordered_rows_and_evaluated():
    images, texts, pairs, labels = problem(1)

    def score_pairs(encoded):
        scores = (encoded.images @ encoded.texts.T).numpy() ** 3
        return scores, -scores.T

    metric = RetrievalMetrics(pairs, labels=labels, score_pairs=score_pairs, **OPTIONS)
    updated(metric, batches(images, texts, shuffled(IMAGES), shuffled(len(texts))))
    scores = (images @ texts.T).numpy() ** 3
    same(metric.compute(), evaluate_scores(i2t=scores, t2i=-scores.T, correspondence=pairs, labels=labels, **OPTIONS))
    np.testing.assert_array_equal(metric.scores[0], scores)


def test_codes_may_be_packed():
    images, texts, pairs, _ = problem(2)
    packed = [torch.from_numpy(np.packbits(side.numpy() > 0, axis=1)) for side in (images, texts)]
    metric = RetrievalMetrics(pairs, images=IMAGES, similarity="hamming", bits=16, **OPTIONS)
    updated(metric, batches(*packed, range(IMAGES), range(len(texts))))
    same(metric.compute(), evaluate(images.sign(), texts.sign(), pairs, similarity="hamming", **OPTIONS))


def test_half_precision_is_accepted():
    images, texts, pairs, _ = problem(3)
    metric = RetrievalMetrics(pairs, images=IMAGES, **OPTIONS)
    updated(metric, batches(images.bfloat16(), texts.bfloat16(), range(IMAGES), range(len(texts))))
    same(metric.compute(), evaluate(images.bfloat16().float(), texts.bfloat16().float(), pairs, **OPTIONS))


def test_the_result_is_kept_until_a_further_update_and_reset_frees_the_rows():
    images, texts, pairs, _ = problem(4)
    metric = RetrievalMetrics(pairs, images=IMAGES, **OPTIONS)
    first, *rest = batches(images, texts, range(IMAGES), range(len(texts)))
    metric.update(first)
    with pytest.raises(FicoError, match="expected each of 13 ids once"):
        metric.compute()
    updated(metric, rest)
    result = metric.compute()
    assert metric.compute() is result
    rows = weakref.ref(metric.encoded.images)
    metric.reset()
    assert rows() is None
    assert metric.encoded is None
    assert sum(part.numel() for name in FIELDS for part in getattr(metric, name)) == 0
    updated(metric, batches(images, texts, shuffled(IMAGES), shuffled(len(texts))))
    same(metric.compute(), result)


def test_rows_that_arrive_in_order_are_held_once():
    images, texts, pairs, _ = problem(5)
    metric = RetrievalMetrics(pairs, images=IMAGES, **OPTIONS)
    updated(metric, batches(images, texts, range(IMAGES), range(len(texts)))).compute()
    assert metric.images[0].data_ptr() == metric.encoded.images.data_ptr()


def test_batches_of_inference_mode_and_others_may_be_mixed():
    images, texts, pairs, _ = problem(12)
    metric = RetrievalMetrics(pairs, images=IMAGES, **OPTIONS)
    with torch.inference_mode():
        first, *rest = batches(images, texts, shuffled(IMAGES), shuffled(len(texts)))
        metric.update(first)
    updated(metric, rest)
    same(metric.compute(), evaluate(images, texts, pairs, **OPTIONS))


def test_a_computed_metric_can_be_pickled_and_cloned():
    images, texts, pairs, _ = problem(6)
    metric = RetrievalMetrics(pairs, images=IMAGES, **OPTIONS)
    *rest, last = batches(images, texts, range(IMAGES), range(len(texts)))
    updated(metric, rest)
    copies = [metric.clone(), pickle.loads(pickle.dumps(metric))]
    metric.update(last)
    for copy in copies:
        copy.update(last)
        same(copy.compute(), metric.compute())
    same(pickle.loads(pickle.dumps(metric)).compute(), metric.compute())


def test_calling_it_says_what_to_call():
    images, texts, pairs, _ = problem(7)
    metric = RetrievalMetrics(pairs, images=IMAGES)
    with pytest.raises(UsageError, match=r"call metric\.update\(encoded\) for each batch and metric\.compute\(\)"):
        metric(next(batches(images, texts, range(IMAGES), range(len(texts)))))


def test_bad_rows_and_arguments_are_named():
    images, texts, pairs, labels = problem(8)
    with pytest.raises(UsageError, match="unknown option tie; did you mean ties"):
        RetrievalMetrics(pairs, tie="index")
    with pytest.raises(UsageError, match="'tpu' is not a device of torch"):
        RetrievalMetrics(pairs, device="tpu")
    with pytest.raises(UsageError, match="engine='compiled' runs on the CPU"):
        RetrievalMetrics(pairs, device="meta", engine="compiled")
    with pytest.raises(DataError, match="only 3 images"):
        RetrievalMetrics(pairs, images=3)
    assert RetrievalMetrics(pairs, labels=labels)._counts == (IMAGES, len(texts))
    ids = list(range(IMAGES))
    metric = RetrievalMetrics(pairs, images=IMAGES)
    with pytest.raises(FicoError, match=r"images .*\(3, 2\)"):
        updated(metric, batches(images, texts, [*ids, 3], range(len(texts))))
    metric = RetrievalMetrics(pairs, images=IMAGES, names=([f"a{n}.jpg" for n in ids], range(len(texts))))
    images[5, 1] = torch.inf
    with pytest.raises(DataError, match=r"1 of 13 images \(a5\.jpg\)"):
        updated(metric, batches(images, texts, ids, range(len(texts)))).compute()


def test_the_example_in_the_docstring_is_true():
    examples = doctest.DocTestFinder().find(RetrievalMetrics, globs={})
    assert sum(len(example.examples) for example in examples) > 0
    for example in examples:
        assert doctest.DocTestRunner().run(example).failed == 0


SHARES = {
    "interleaved": ([0, 2, 4, 6, 8, 10, 12], [1, 3, 5, 7, 9, 11]),
    "padded by a sampler": ([*range(7), 0], [*range(7, 13), 1, 2]),
    "a process without rows": (list(range(13)), []),
}


def _states(encoded):
    """Scores that need every state."""
    images = encoded.image_states.float().mean(dim=1)
    words = torch.arange(encoded.text_states.shape[1]) < encoded.text_lengths[:, None]
    scores = images @ (encoded.text_states * words[..., None]).sum(dim=1).T
    return scores.numpy(), scores.T.numpy()


def _metric(pairs, labels, folder, is_scored):
    comparison = {"score_pairs": _states} if is_scored else {"similarity": "cosine"}
    return RetrievalMetrics(pairs, labels=labels, folder=folder, **comparison, block=4, **OPTIONS)


def _one_process(rank, folder):
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    gather.PIECE_BYTES = 100
    images, texts, pairs, labels = problem(9)
    found = {}
    for name, shares in SHARES.items():
        own = [row for row in shares[rank] if row < IMAGES]
        text_ids = [n for n, row in enumerate(pairs.caption_to_image) if row in own]
        for is_scored in (False, True):
            metric = _metric(pairs, labels, folder, is_scored)
            if own:
                updated(metric, batches(images, texts, own, text_ids, states=is_scored))
            result = metric.compute()
            assert sum(map(len, metric.image_ids)) == len(own)  # the rows of this process are back
            found[name, is_scored] = result, metric.encoded, metric.compute() is result
    found["error"] = _error(pairs, labels, images, texts, rank)
    torch.save(found, f"{folder}/{rank}")
    torch.distributed.destroy_process_group()


def _error(pairs, labels, images, texts, rank):
    """Of a query without relevant item, which the first process evaluates."""
    labels = labels.copy()
    labels[:, 0] = np.arange(IMAGES) > 0
    labels[0] = False
    metric = RetrievalMetrics(pairs, labels=labels, empty="error", block=4, **OPTIONS)
    own = [n for n, row in enumerate(pairs.caption_to_image) if row % 2 == rank]
    updated(metric, batches(images, texts, range(rank, IMAGES, 2), own))
    try:
        metric.compute()
    except DataError as error:
        return str(error)


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("processes")
    in_two_processes(_one_process, folder)
    return [torch.load(folder / str(rank), weights_only=False) for rank in (0, 1)]


@pytest.mark.parametrize("is_scored", [False, True], ids=["embeddings", "pair scores"])
@pytest.mark.parametrize("name", SHARES)
def test_two_processes_have_the_whole_result_of_one(two_processes, name, is_scored):
    images, texts, pairs, labels = problem(9)
    one = _metric(pairs, labels, None, is_scored)
    updated(one, batches(images, texts, range(IMAGES), range(len(texts)), states=is_scored))
    wanted = one.compute()
    for found in two_processes:
        result, encoded, is_cached = found[name, is_scored]
        same(result, wanted)
        assert is_cached
        assert torch.equal(encoded.images, images)
        assert torch.equal(encoded.texts, texts)
        if is_scored:
            assert torch.equal(encoded.image_states, one.encoded.image_states)
            assert torch.equal(encoded.text_states, one.encoded.text_states)


def test_an_error_in_one_process_is_that_of_all(two_processes):
    messages = [found["error"] for found in two_processes]
    assert "i2t query 0 shares no label" in messages[0]
    assert messages[0] == messages[1]


def test_no_rows_leave_a_gpu_that_holds_them(monkeypatch, caplog):
    """Where the rows are kept, with the device without memory that torch has on every machine."""
    images, texts, pairs, _ = problem(10)
    needed = (IMAGES + len(texts)) * (16 * 4 + 8)  # floats and an id each
    for free, kept in ((4 * needed, "meta"), (4 * needed - 1, "cpu")):
        monkeypatch.setattr("fico.embeddings.collect._free_bytes", lambda device, free=free: free)
        monkeypatch.setattr(RetrievalMetrics, "_device_of_rows", lambda self: torch.device("meta"))
        metric = RetrievalMetrics(pairs, images=IMAGES)
        with caplog.at_level("INFO"):
            updated(metric, batches(images, texts, range(IMAGES), range(len(texts))))
        assert metric.images[0].device.type == kept
        assert f"kept on {kept}" in caplog.text


@pytest.mark.gpu
def test_on_a_gpu_the_torch_engine_evaluates_the_rows_there(monkeypatch):
    images, texts, pairs, labels = problem(11)
    seen = []

    def spy(first, *arguments, **options):
        seen.append(first.device.type)
        return evaluate(first, *arguments, **options)

    monkeypatch.setattr(retrieval_metrics, "evaluate", spy)
    metric = RetrievalMetrics(pairs, labels=labels, **OPTIONS).to("cuda")
    result = updated(metric, batches(images.cuda(), texts.cuda(), shuffled(IMAGES), shuffled(len(texts)))).compute()
    wanted = evaluate(images, texts, pairs, labels=labels, **OPTIONS)
    assert seen == ["cuda"]
    assert result.metrics == pytest.approx(wanted.metrics, abs=1e-12, nan_ok=True)
