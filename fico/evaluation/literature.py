"""mAP over the whole database as the hashing literature counts it, beside ours."""

from collections.abc import Callable
from dataclasses import replace

from fico.evaluation.options import EvaluationOptions
from fico.evaluation.result import RetrievalResult
from fico.metrics.specification import DIRECTIONS

NAME = "mAP@all"
_OURS = "mAP@N"


def add_literature(
    result: RetrievalResult, options: EvaluationOptions, evaluate: Callable[[EvaluationOptions], RetrievalResult]
) -> RetrievalResult:
    """Adds ``category/{direction}/mAP@all`` to a result that has mAP@N.

    It is mAP@N with equal distances in the order of the database and without the queries that have no relevant item,
    as the code of UCCH counts it with a stable sort; that of DADH, DJSRH and JDSH counts such queries 0.

    Args:
        result: Of the category task, against a database.
        options: Of its evaluation.
        evaluate: Evaluates the same with other options; not called where they are these.
    """
    if not any(f"category/{way}/{_OURS}" in result.metrics for way in DIRECTIONS):
        return result
    wanted = replace(options, tasks=("category",), ties="index", empty="skip")
    found = result if (options.ties, options.empty) == ("index", "skip") else evaluate(wanted)
    for way in DIRECTIONS:
        for chance in ("", "chance/"):
            ours, name = f"category/{way}/{chance}{_OURS}", f"category/{way}/{chance}{NAME}"
            for field in ("metrics", "intervals", "queries", "definitions", "tie_bounds", "described_by"):
                values = getattr(found, field)
                if ours in values:
                    getattr(result, field)[name] = values[ours]
            if name in result.definitions:
                ending = "; queries without a relevant item left out; ties: "
                result.definitions[name] = result.definitions[name].replace("; ties: ", ending)
    return replace(result, state=replace(result.state, literature=found.state)) if result.state else result
