"""Metric cases with values of fico-itr, pytrec_eval, torchmetrics and SciPy, and exact values under ties.

The reference writes ``R@K`` in percent and ranks from 0; here they are fractions and from 1. Every array and number of
a case is compared or named in ``LEFT_OUT`` with the reason.
"""

import json
import re
from itertools import product

import numpy as np
import pytest
import torch

from fico.evaluation.evaluate import evaluate, evaluate_scores
from fico.evaluation.relevance import CategoryRetrieval, InstanceRetrieval
from fico.metrics.average_precision import average_precision
from fico.metrics.precision_recall import interpolated_precision, precision_at_k
from fico.metrics.rank import first_hit_ranks, median_rank, reciprocal_ranks
from fico.metrics.recall import recall_at_k
from fico.metrics.significance import paired_t_test, sign_flip_test
from fico.types import Correspondence

DENOMINATORS = {"hits": "hits", "minKR": "min_k_r", "R": "r"}
TOLERANCE = 1e-6  # meta.json: absolute, for means in [0, 1]
SINGLE = 2e-6  # torchmetrics returns float32
ENGINES = ("compiled", "torch")
LEFT_OUT = {
    "random_order_check": "a sampled check of the closed forms, inside whose error they must lie (below)",
    "torchmetrics_unshifted_do_not_match": "values of torchmetrics' defect, which it keeps for scores below zero",
    "one": "torchmetrics' rule that queries without relevant item count 1; this library has no such rule",
    "wilcoxon_p": "a third test, which this library does not offer",
}


class Case:
    """One case file; remembers which arrays and numbers were compared."""

    def __init__(self, path):
        self.arrays = dict(np.load(path))
        self.numbers = dict(flatten(json.loads(path.with_suffix(".json").read_text())))
        self.checked = set()

    def check(self, name, got, tolerance=TOLERANCE):
        wanted = self.numbers[name] if name in self.numbers else self.arrays[name]
        np.testing.assert_allclose(np.asarray(got, dtype=np.float64), wanted, rtol=0, atol=tolerance, err_msg=name)
        self.checked.add(name)

    def names(self, prefix):
        """Names of the numbers and arrays that start so, without the prefix."""
        return [name.removeprefix(prefix) for name in (*self.numbers, *self.arrays) if name.startswith(prefix)]

    def complete(self, *inputs):
        """All was compared, but inputs and what is left out for a reason."""
        rest = {name for name in (*self.numbers, *self.arrays) if not set(name.split("/")) & LEFT_OUT.keys()}
        assert rest - set(inputs) == self.checked


def flatten(tree, path=""):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{path}{key}/")
        else:
            yield f"{path}{key}", value


def relevance(case, direction, labels=True):
    pairs = Correspondence(case.arrays["caption_to_image"])
    images = len(case.arrays["labels"]) if "labels" in case.arrays else case.arrays["sim"].shape[0]
    instance = InstanceRetrieval(pairs, images)
    queries = len(instance.images_of(direction)[0])
    task = CategoryRetrieval(case.arrays["labels"], instance) if labels else instance
    return torch.from_numpy(task.relevant(direction, 0, queries))


def measure(name, scores, relevant, ties="index"):
    """Per-query values of a measure under its name in pytrec_eval, torchmetrics or the fixtures."""
    base, _, cut = name.rpartition("_")
    if name in ("map", "map_N"):
        return average_precision(scores, relevant, ties=ties)
    if name == "recip_rank":
        values = torch.zeros(len(scores), dtype=torch.float64)
        answered = relevant.any(dim=1)
        values[answered] = reciprocal_ranks(scores[answered], relevant[answered], ties=ties)
        return values
    if base in ("success", "hit_rate"):
        return recall_at_k(scores, relevant, int(cut), ties=ties)
    if base == "recall":
        return recall_at_k(scores, relevant, int(cut), ties=ties, recall="fraction")
    if base == "P":
        return precision_at_k(scores, relevant, int(cut), ties=ties)
    if base == "map":  # torchmetrics
        return average_precision(scores, relevant, int(cut), ties=ties)
    if base == "map_cut":
        return average_precision(scores, relevant, int(cut), ties=ties, denominator="r")
    if base == "iprec_at_recall":
        return interpolated_precision(scores, relevant, ties=ties)[:, round(10 * float(cut))]
    found = re.fullmatch(r"ap_(hits|minKR|R)_(\d+|N)", name)
    assert found, f"unknown measure {name}"
    k = None if found[2] == "N" else int(found[2])
    return average_precision(scores, relevant, k, ties=ties, denominator=DENOMINATORS[found[1]])


def check_measures(case, prefix, scores, relevant, ties="index", tolerance=TOLERANCE):
    for name in case.names(prefix):
        case.check(prefix + name, measure(name, scores, relevant, ties).mean(), tolerance)


def check_ranks(case, prefix, scores, relevant):
    answered = relevant.any(dim=1)
    ranks = first_hit_ranks(scores[answered], relevant[answered], ties="index")
    case.check(prefix + "MedR_floor", median_rank(ranks))
    case.check(prefix + "MedR", median_rank(ranks, "exact"))
    case.check(prefix + "MeanR", ranks.mean())
    for name in case.names(prefix + "R@"):
        found = recall_at_k(scores[answered], relevant[answered], int(name), ties="index")
        case.check(f"{prefix}R@{name}", 100 * found.mean(), 1e-4)


def check_matrices(case):
    """A case of two score matrices with labels: per-query arrays, and means of every library."""
    first = torch.from_numpy(case.arrays["sim"])
    scores = {"i2t": first, "t2i": torch.from_numpy(case.arrays["sim_t2i"]) if "sim_t2i" in case.arrays else first.T}
    for side, matrix in scores.items():
        own, shared = relevance(case, side, labels=False), relevance(case, side)
        case.check(f"{side}_best_rank", first_hit_ranks(matrix, own, ties="index") - 1)
        case.check(f"{side}_iprec11", interpolated_precision(matrix, shared, ties="index"))
        for name in case.names(f"{side}_ap_"):
            case.check(f"{side}_ap_{name}", measure("map" if name == "N" else f"ap_{name}", matrix, shared))
        check_ranks(case, f"{side}/ranks/", matrix, own)
        check_measures(case, f"{side}/pytrec_eval/instance/", matrix, own)
        check_measures(case, f"{side}/pytrec_eval/category/", matrix, shared)
        check_measures(case, f"{side}/derived/", matrix, shared)
        check_measures(case, f"{side}/torchmetrics/instance/", matrix, own, tolerance=SINGLE)
        check_measures(case, f"{side}/torchmetrics/category/", matrix, shared, tolerance=SINGLE)
    check_engine(case, {side: matrix.numpy() for side, matrix in scores.items()})


def check_engine(case, scores):
    """The same numbers through the engines, and those of fico-itr."""
    arrays = case.arrays
    for engine, (ap, tag) in product(ENGINES, (("hits", "hits"), ("min_k_r", "minKR"), ("r", "R"))):
        got = evaluate_scores(
            **scores, correspondence=Correspondence(arrays["caption_to_image"]), labels=arrays["labels"], ap=ap,
            ties="index", bootstrap=2, engine=engine,
        )  # fmt: skip
        for side in ("i2t", "t2i"):
            names = [name for name in case.names(f"{side}/derived/ap_{tag}_")]
            for k in names:
                case.check(f"{side}/derived/ap_{tag}_{k}", got.metrics[f"category/{side}/mAP@{k}"])
            for level in range(11):
                key = f"{side}/pytrec_eval/category/iprec_at_recall_{level / 10:.2f}"
                case.check(key, got.metrics[f"category/{side}/PR@{level / 10:.1f}"])
            np.testing.assert_allclose(got.per_query[side].ranks - 1, arrays[f"{side}_best_rank"])
            np.testing.assert_allclose(
                got.per_query[side].average_precision["N"], arrays[f"{side}_ap_N"], atol=TOLERANCE
            )
            check_fico_itr(case, got, side, ap)


def check_fico_itr(case, got, side, ap):
    names = {"MedianR": "MedR", "MeanR": "MeanR"}
    for name in case.names(f"fico_itr/instance/{side}/"):
        value = got.metrics[f"instance/{side}/{names.get(name, name)}"]
        case.check(f"fico_itr/instance/{side}/{name}", 100 * value if "@" in name else value, 1e-4)
    for name in case.names("fico_itr/category/k=") if ap == "hits" else ():
        cut, _, direction = name.partition("/")
        if direction == side:
            case.check(f"fico_itr/category/k={name}", got.metrics[f"category/{side}/mAP@{cut}"])


def check_embeddings(case):
    """A case that also holds the embeddings: their cosine is the matrix."""
    arrays = case.arrays
    pairs = Correspondence(arrays["caption_to_image"])
    for engine in ENGINES:
        options = {"labels": arrays.get("labels"), "ties": "index", "bootstrap": 2, "engine": engine}
        got = evaluate(arrays["image_emb"], arrays["text_emb"], pairs, **options)
        wanted = evaluate_scores(i2t=arrays["sim"], t2i=arrays["sim"].T, correspondence=pairs, **options)
        for key, value in wanted.metrics.items():
            assert got.metrics[key] == pytest.approx(value, abs=TOLERANCE), key


def check_codes(case):
    arrays, pairs = case.arrays, Correspondence(case.arrays["caption_to_image"])
    distance = (arrays["image_codes"][:, None] != arrays["text_codes"][None]).sum(axis=2)
    case.check("distance", distance)
    for side, matrix in (("i2t", -distance), ("t2i", -distance.T)):
        scores = torch.from_numpy(matrix).double()
        tasks = {"instance": relevance(case, side, labels=False), "category": relevance(case, side)}
        for rule in ("index_asc", "index_desc", "optimistic", "pessimistic", "expected"):
            ties = rule.partition("_")[0]
            turn = (lambda x: x.flip(1)) if rule == "index_desc" else (lambda x: x)
            for task, relevant in tasks.items():
                check_measures(case, f"{side}/{rule}/{task}/", turn(scores), turn(relevant), ties)
            check_measures(case, f"{side}/{rule}/derived/", turn(scores), turn(tasks["category"]), ties)
            for name in case.names(f"{side}_ap_"):
                if name.endswith(rule):
                    kind = name.removesuffix(f"_{rule}")
                    values = measure(
                        "map" if kind == "N" else f"ap_{kind}", turn(scores), turn(tasks["category"]), ties
                    )
                    case.check(f"{side}_ap_{name}", values)
        for name in case.names(f"{side}/random_order_check/"):
            kind, _, part = name.partition("/")
            if part == "mean":
                error = case.numbers[f"{side}/random_order_check/{kind}/se"]
                value = measure(kind, scores, tasks["category"], "expected").mean()
                assert abs(value - case.numbers[f"{side}/random_order_check/{kind}/mean"]) < 4 * error
    check_code_engine(case, pairs)


def check_code_engine(case, pairs):
    arrays = case.arrays
    bits = arrays["image_codes"].shape[1]
    encodings = (
        (arrays["image_codes"], arrays["text_codes"], None),
        (arrays["image_codes_packed"], arrays["text_codes_packed"], bits),
        (arrays["image_codes"] * 2.0 - 1, arrays["text_codes"] * 2.0 - 1, None),
    )
    rules = {"expected": "expected", "optimistic": "optimistic", "pessimistic": "pessimistic", "index": "index_asc"}
    tags = {"hits": "hits", "min_k_r": "minKR", "r": "R"}
    for engine, ties, ap in product(ENGINES, rules, tags):
        for images, texts, packed in encodings[: 3 if ap == "hits" else 1]:
            got = evaluate(
                images, texts, pairs, labels=arrays["labels"], similarity="hamming", bits=packed, ties=ties, ap=ap,
                bootstrap=2, engine=engine,
            )  # fmt: skip
            for side in ("i2t", "t2i"):
                for k in (1, 5, 10, 200):
                    case.check(f"{side}/{rules[ties]}/instance/success_{k}", got.metrics[f"instance/{side}/R@{k}"])
                for k, group in product(("10", "100", "N"), ("category", "derived")):
                    if (name := f"{side}/{rules[ties]}/{group}/ap_{tags[ap]}_{k}") in case.numbers:
                        case.check(name, got.metrics[f"category/{side}/mAP@{k}"])


def check_integer_codes(case):
    sizes = [name.removeprefix("image_") for name in case.arrays if name.startswith("image_")]
    for bits in sizes:
        images, texts = case.arrays[f"image_{bits}"], case.arrays[f"text_{bits}"]
        pairs = Correspondence(np.repeat(np.arange(len(images)), len(texts) // len(images)))
        case.check(f"inner_{bits}", images.astype(np.int64) @ texts.T.astype(np.int64))
        for similarity, engine in product(("inner", "cosine", "hamming", "euclidean"), ENGINES):
            for ties, suffix in (("optimistic", "_optimistic"), ("pessimistic", "_pessimistic"), ("expected", "")):
                got = evaluate(images, texts, pairs, similarity=similarity, ties=ties, bootstrap=2, engine=engine)
                for side in ("i2t", "t2i"):
                    name = f"{bits}/{side}/R@1{suffix}"
                    if name in case.numbers:
                        case.check(name, 100 * got.metrics[f"instance/{side}/R@1"], 1e-4)
    case.complete(*(f"{side}_{bits}" for side in ("image", "text") for bits in sizes))


def check_enumerated(case):
    rules = {"mean": "expected", "max": "optimistic", "min": "pessimistic"}
    (cases,) = (case.numbers[name] for name in case.names("") if name == "cases")
    assert len(cases) == case.arrays["n_cases"]
    for small in cases:
        scores, relevant = torch.tensor([small["score"]]).double(), torch.tensor([small["relevant"]]).bool()
        assert set(small) == {"score", "relevant", "orders", "mean", "max", "min", "first_relevant_rank"}
        for kind, ties in rules.items():
            for name, wanted in small[kind].items():
                value = measure(name, scores, relevant, ties).item()
                if kind == "mean" or "hits" not in name:
                    assert value == pytest.approx(wanted, abs=TOLERANCE), (small, kind, name)
                else:  # AP over the hits found can be higher with the right items later: the rules are orders
                    assert small["min"][name] - TOLERANCE <= value <= small["max"][name] + TOLERANCE
            if small["first_relevant_rank"]:
                rank = small["first_relevant_rank"][{"max": "min", "min": "max"}.get(kind, kind)]
                assert first_hit_ranks(scores, relevant, ties=ties).item() == pytest.approx(rank)
    case.checked |= {"cases", "n_cases"}
    case.complete()


def check_paired(case):
    first, second = case.arrays["ap_a"], case.arrays["ap_b"]
    student, flips = paired_t_test(first, second), sign_flip_test(first, second)
    case.check("mean_a", first.mean())
    case.check("mean_b", second.mean())
    case.check("ttest_rel/t", student.statistic)
    case.check("ttest_rel/p", student.p)
    case.check("exact_sign_flip/difference", flips.difference)
    case.check("exact_sign_flip/p", flips.p)
    case.complete("ap_a", "ap_b")


def check_empty(case):
    arrays = case.arrays
    scores = torch.from_numpy(arrays["sim"])
    relevant = torch.from_numpy(arrays["query_labels"].astype(int) @ arrays["gallery_labels"].T.astype(int) > 0)
    answered = relevant.any(dim=1)
    case.check("empty_query_indices", (~answered).nonzero()[:, 0])
    case.check("skip/n_valid_queries", answered.sum())
    for rule, rows in (("zero", torch.ones_like(answered)), ("skip", answered)):
        for library, tolerance in (("pytrec_eval", TOLERANCE), ("derived", TOLERANCE), ("torchmetrics", SINGLE)):
            check_measures(case, f"{rule}/{library}/", scores[rows], relevant[rows], tolerance=tolerance)
    case.complete("sim", "query_labels", "gallery_labels")


def check_negative(case):
    scores, relevant = torch.from_numpy(case.arrays["sim"]), torch.from_numpy(case.arrays["relevant"])
    check_measures(case, "pytrec_eval/", scores, relevant)
    check_measures(case, "torchmetrics_shifted/", scores, relevant, tolerance=SINGLE)
    case.complete("sim", "relevant")


def check_zero_vector(case):
    arrays, pairs = case.arrays, Correspondence(case.arrays["caption_to_image"])
    assert not arrays["text_emb"][case.numbers["zero_caption"]].any()
    case.checked.add("zero_caption")
    for engine in ENGINES:
        got = evaluate(arrays["image_emb"], arrays["text_emb"], pairs, ties="index", bootstrap=2, engine=engine)
        for side, group in (("i2t", "i2t"), ("t2i", "t2i_index_asc")):
            for name in case.names(f"{group}/"):
                case.check(f"{group}/{name}", got.metrics[f"instance/{side}/R@{name.rpartition('_')[2]}"])
    check_embeddings(case)
    case.complete("image_emb", "text_emb", "caption_to_image", "sim")


def check_distractors(case):
    """More images than captions, without labels: images without caption are left out of i2t and distract t2i."""
    scores = torch.from_numpy(case.arrays["sim"])
    pairs = Correspondence(case.arrays["caption_to_image"])
    options = {"correspondence": pairs, "ties": "index", "bootstrap": 2}
    by_engine = [evaluate_scores(i2t=scores, t2i=scores.T, engine=engine, **options) for engine in ENGINES]
    for side, matrix in (("i2t", scores), ("t2i", scores.T)):
        own = relevance(case, side, labels=False)
        answered = own.any(dim=1)
        if side == "i2t":
            case.check("image_has_caption", answered.double())
        check_ranks(case, f"{side}/ranks/", matrix, own)
        check_measures(case, f"{side}/pytrec_eval/", matrix[answered], own[answered])
        for got in by_engine:
            case.check(f"{side}/n_valid_queries", got.queries[f"instance/{side}/R@1"])
            assert 100 * got.metrics[f"instance/{side}/R@1"] == pytest.approx(case.numbers[f"{side}/ranks/R@1"])
    case.complete("sim", "caption_to_image")


def test_metrics(metrics_case):
    """The form of a case follows from the arrays it holds."""
    case = Case(metrics_case)
    held = set(case.arrays)
    if "ap_a" in held:
        check_paired(case)
    elif "n_cases" in held:
        check_enumerated(case)
    elif "query_labels" in held:
        check_empty(case)
    elif "relevant" in held:
        check_negative(case)
    elif "image_codes" in held:
        check_codes(case)
        case.complete(
            "image_codes", "text_codes", "image_codes_packed", "text_codes_packed", "labels", "caption_to_image"
        )
    elif any(name.startswith("inner_") for name in held):
        check_integer_codes(case)
    elif "labels" in held:
        check_matrices(case)
        if "image_emb" in held:
            check_embeddings(case)
        case.complete("sim", "sim_t2i", "image_emb", "text_emb", "labels", "caption_to_image")
    elif "image_emb" in held:
        check_zero_vector(case)
    else:
        check_distractors(case)
