"""Metric cases of the hashing code bases: their AP variants, curves over the Hamming radius, and recall of codes.

The originals differ in what they divide by and whom they leave out; each is rebuilt here from the library's functions.
Codes with zeros have half distances and no place in ``similarity="hamming"``: their distances go in as scores.
"""

import numpy as np
import pytest
import torch

from fico.evaluation.evaluate import evaluate, evaluate_scores
from fico.metrics.average_precision import average_precision
from fico.metrics.precision_recall import precision_at_k, precision_recall_within_radius
from fico.types import Correspondence

TOLERANCE = 1e-6  # meta.json: mAP given the order
SINGLE = 2e-6  # the originals that compute in float32


def as_scores(order):
    """Scores without ties that put items in this order."""
    return -torch.from_numpy(order.argsort(axis=1)).double()


def known_mean(values, relevant, cut=None):
    """UCCH leaves queries out that find nothing inside the cut."""
    found = relevant.any(dim=1) if cut is None else values > 0
    return values[found].mean()


def check_order(ref, name, distances):
    """An order that an unstable sort made: a permutation along which the distance never falls."""
    order = ref.outputs[name]
    np.testing.assert_array_equal(np.sort(order, axis=1), np.arange(order.shape[1])[None].repeat(len(order), axis=0))
    assert (np.diff(np.take_along_axis(distances, order, axis=1), axis=1) >= 0).all()
    ref.checked.add(name)
    return as_scores(order)


def check_ucch(ref, relevant, k):
    first, second = ref.inputs["query_code"], ref.inputs["db_code"]
    if ref.meta["config"].get("continuous"):
        norms = [x / np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True) for x in (first, second)]
        distance = 1 - norms[0] @ norms[1].T
    else:
        distance = (first[:, None] != second[None]).mean(axis=2)
    ref.check("ucch_distance", distance, atol=TOLERANCE)
    given = check_order(ref, "ucch_order_original", ref.outputs["ucch_distance"])
    own = -torch.from_numpy(ref.outputs["ucch_distance"])
    ref.check("order_stable_ucch", own.argsort(dim=1, descending=True, stable=True))
    for suffix, cut in (("all", None), (f"top{k}", k)):
        for scores, name in ((given, f"ucch_map_{suffix}"), (own, f"ucch_map_{suffix}_stable")):
            ref.check(
                name, known_mean(average_precision(scores, relevant, cut, ties="index"), relevant, cut), atol=TOLERANCE
            )
    values = average_precision(given, relevant)
    ref.check("ucch_ap_all_per_query", values.masked_fill(~relevant.any(dim=1), torch.nan), atol=TOLERANCE)
    check_bounds(ref, "ucch_map_all", own, relevant, skip=True)


def check_bounds(ref, name, scores, relevant, skip):
    rows = relevant.any(dim=1) if skip else torch.ones(len(relevant), dtype=torch.bool)
    for suffix, ties in (("tie_best", "optimistic"), ("tie_worst", "pessimistic")):
        ref.check(f"{name}_{suffix}", average_precision(scores, relevant, ties=ties)[rows].mean(), atol=SINGLE)
    expected = average_precision(scores, relevant)[rows].mean()
    assert ref.outputs[f"{name}_tie_worst"] - SINGLE <= expected <= ref.outputs[f"{name}_tie_best"] + SINGLE


def first_relevant(scores, relevant, k):
    """DADH with k: AP over the first min(k, R) relevant items, wherever they stand."""
    values = []
    for row, hits in zip(scores, relevant, strict=True):
        places = hits[row.argsort(descending=True)].nonzero()[:, 0]
        cut = int(places[:k][-1]) + 1 if len(places) else 1
        values.append(average_precision(row[None], hits[None], cut).item())
    return np.mean(values)


def check_dadh(ref, relevant, k):
    bits = ref.meta["config"]["bit"]
    distance = (bits - ref.inputs["query_code"] @ ref.inputs["db_code"].T) / 2
    ref.check("dadh_distance", distance, atol=TOLERANCE)
    given, own = check_order(ref, "dadh_order_original", distance), -torch.from_numpy(distance).double()
    stable = own.argsort(dim=1, descending=True, stable=True).numpy()
    ref.check("dadh_order_is_stable_order", (stable == ref.outputs["dadh_order_original"]).all())
    ref.check("dadh_map_all", average_precision(given, relevant).mean(), atol=SINGLE)
    ref.check("dadh_ap_all_per_query", average_precision(given, relevant), atol=SINGLE)
    ref.check(f"dadh_map_k{k}", first_relevant(given, relevant, k), atol=SINGLE)
    check_bounds(ref, "dadh_map_all", own, relevant, skip=False)
    check_radius(ref, distance, relevant, bits)
    ref.check("topK_list", ref.meta["config"]["topK"])
    items = distance.shape[1]
    means = [precision_at_k(given, relevant, min(k, items)).mean() for k in ref.meta["config"]["topK"]]
    for name in ("agah_p_topK", "jdsh_p_topK"):
        ref.check(name, np.array(means), atol=TOLERANCE)


def check_radius(ref, distance, relevant, bits):
    """Means over the queries whose precision is above zero; half distances count from the next whole radius."""
    whole = torch.from_numpy(np.ceil(distance)).long()
    precision, recall = precision_recall_within_radius(whole, relevant, bits)
    found = precision > 0
    for name, values in (("agah_pr_precision", precision), ("agah_pr_recall", recall)):
        ref.check(name, (values * found).sum(dim=0) / found.sum(dim=0).clamp(min=1), atol=TOLERANCE)


def check_djsrh(ref, relevant, k):
    distance = ref.outputs["dadh_distance"]
    given, own = check_order(ref, "djsrh_order_original", distance), -torch.from_numpy(distance).double()
    for suffix, cut in (("all", None), (f"top{k}", k)):
        for scores, name in ((given, f"djsrh_map_{suffix}"), (own, f"djsrh_map_{suffix}_stable")):
            ref.check(name, average_precision(scores, relevant, cut, ties="index").mean(), atol=TOLERANCE)


def check_database(ref, relevant, k, engine):
    """The engine with the queries of the case against its database, in both directions."""
    first, second = ref.inputs["query_code"], ref.inputs["db_code"]
    if (first == 0).any() or (second == 0).any():
        return
    is_real = bool(ref.meta["config"].get("continuous"))
    owners = [Correspondence(np.arange(len(side))) for side in (first, second)]
    labels = {"labels": ref.inputs["query_label"], "database_labels": ref.inputs["db_label"]}
    database = {"database_images": second, "database_texts": second, "database_correspondence": owners[1]}
    options = {"similarity": "cosine" if is_real else "hamming", "map_at": (k,), "engine": engine, "bootstrap": 0}
    got = evaluate(first, first, owners[0], **labels, **database, **options)
    known = relevant.any(dim=1)
    for way in ("i2t", "t2i"):
        wanted = ref.outputs["ucch_map_all_stable"]
        np.testing.assert_allclose(got.metrics[f"category/{way}/mAP@all"], wanted, atol=TOLERANCE)
        if "djsrh_map_all_stable" in ref.outputs:  # the same with queries that find nothing counted 0
            by_index = evaluate(first, first, owners[0], **labels, **database, **options, ties="index")
            for name, suffix in ((f"mAP@{k}", f"top{k}"), ("mAP@N", "all")):
                wanted = ref.outputs[f"djsrh_map_{suffix}_stable"]
                np.testing.assert_allclose(by_index.metrics[f"category/{way}/{name}"], wanted, atol=TOLERANCE)
        low, high = got.tie_bounds.get(f"category/{way}/mAP@N", (got.metrics[f"category/{way}/mAP@N"],) * 2)
        shares = len(known) / known.sum().item()  # the bounds of the case leave those queries out
        np.testing.assert_allclose(low * shares, ref.outputs["ucch_map_all_tie_worst"], atol=SINGLE)
        np.testing.assert_allclose(high * shares, ref.outputs["ucch_map_all_tie_best"], atol=SINGLE)


def check_category(ref, engine):
    shared = ref.inputs["query_label"] @ ref.inputs["db_label"].T > 0
    ref.check("relevant", shared)
    relevant, k = torch.from_numpy(shared), ref.meta["config"]["k"]
    check_database(ref, relevant, k, engine)
    check_ucch(ref, relevant, k)
    if "dadh_distance" in ref.outputs:
        check_dadh(ref, relevant, k)
        check_djsrh(ref, relevant, k)


def check_instance(ref, engine):
    images, texts = ref.inputs["image_code"], ref.inputs["text_code"]
    hamming = (images.shape[1] - images @ texts.T) / 2
    ref.check("hamming", hamming)
    ref.check("topk", ref.meta["config"]["topk"])
    cuts, pairs = ref.meta["config"]["topk"], Correspondence(np.arange(len(texts)) // 5)
    options = {"correspondence": pairs, "recall_at": cuts, "bootstrap": 2, "engine": engine}
    for ties, suffix in (
        ("optimistic", "tie_best"),
        ("pessimistic", "tie_worst"),
        ("index", "stable"),
        ("expected", ""),
    ):
        got = evaluate_scores(i2t=-hamming, t2i=-hamming.T, ties=ties, **options)
        if not (images == 0).any() and not (texts == 0).any():
            codes = evaluate(images, texts, similarity="hamming", ties=ties, **options)
            assert codes.metrics == pytest.approx(got.metrics)
        for side in ("i2t", "t2i"):
            recalls = np.array([got.metrics[f"instance/{side}/R@{k}"] for k in cuts])
            if suffix:
                ref.check(f"{side}_{suffix}", recalls, atol=TOLERANCE)
            for values in (recalls, ref.outputs[f"adv_{side}"]):  # an unstable top-k: somewhere between the bounds
                assert (ref.outputs[f"{side}_tie_worst"] - TOLERANCE <= values).all()
                assert (values <= ref.outputs[f"{side}_tie_best"] + TOLERANCE).all()
    ref.checked |= {"adv_i2t", "adv_t2i"}


def test_metrics_cmh(metrics_cmh_case, reference, engine):
    ref = reference(metrics_cmh_case)
    if "image_code" in ref.inputs:
        check_instance(ref, engine)
    else:
        check_category(ref, engine)
    ref.check_complete()
