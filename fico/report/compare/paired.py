"""Paired significance tests between runs on per-query values, with Holm's correction for several tests."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64, Int64

from fico.embeddings.manifest import read_manifest
from fico.errors import DataError, UsageError
from fico.metrics.bootstrap import ClusteredValues, percentile_intervals, replicates
from fico.metrics.significance import PairedTest, sign_flip_test
from fico.report.results.per_query import QUERIES, QueryTable, read_queries
from fico.report.results.runs import FinishedRun

TOLERANCE = 1e-6  # between a metric and the mean of its values per query, which the file rounds
RESAMPLES = 1_000  # of the interval of a difference, as of a metric's
_FEWEST = 2  # images that a test needs


Paired = tuple[Float64[np.ndarray, " queries"], Float64[np.ndarray, " queries"], Int64[np.ndarray, " queries"]]


class QueryValues:
    """Values per query of some runs, read once.

    Args:
        runs: Runs on the same data.
    """

    def __init__(self, runs: Sequence[FinishedRun]) -> None:
        self._tables = {run.folder: read_queries(run.folder / QUERIES, run.results.files.get(QUERIES)) for run in runs}

    def test(self, first: Sequence[FinishedRun], second: Sequence[FinishedRun], name: str) -> PairedTest | None:
        """Paired sign-flip test between two groups of runs, with the queries of one image flipped together.

        Args:
            first: Seeds of one configuration; the values of a query are averaged over them.
            second: Seeds of the other.
            name: ``{task}/{direction}/{metric}``.

        Returns:
            Difference second minus first; None where the metric is not a mean over queries, the runs hold no values of
            single queries for it, or do not say which image a caption belongs to.

        Raises:
            UsageError: The runs have different queries.
        """
        paired = self._paired(first, second, name)
        return None if paired is None else sign_flip_test(*paired)

    def interval(
        self, first: Sequence[FinishedRun], second: Sequence[FinishedRun], name: str
    ) -> tuple[float, float] | None:
        """95 % bootstrap interval of the difference second minus first, over the images; None as of ``test``.

        Raises:
            UsageError: As ``test``.
        """
        paired = self._paired(first, second, name)
        if paired is None:
            return None
        values, others, clusters = paired
        differences = values - others
        known = ~np.isnan(differences)
        sample = ClusteredValues(np.nan_to_num(differences)[:, None], known, clusters)
        ((means, _),) = replicates([sample], int(clusters.max()) + 1, RESAMPLES, (0,))
        low, high = percentile_intervals(means)[0]
        return float(low), float(high)

    def ranks(self, runs: Sequence[FinishedRun], direction: str) -> Float64[np.ndarray, " queries"]:
        """Rank of the first relevant item of each query, the mean over seeds; NaN without one."""
        tables = [self._table(run, f"instance/{direction}/R@1").first_ranks for run in runs]
        return np.asarray(np.mean(np.stack(tables), axis=0))

    def ids(self, run: FinishedRun, direction: str) -> tuple[str, ...]:
        """Ids of the queries of a direction."""
        return self._table(run, f"instance/{direction}/R@1").ids

    def _paired(self, first: Sequence[FinishedRun], second: Sequence[FinishedRun], name: str) -> Paired | None:
        """Values of the second and of the first side, and the image of each query."""
        values = [[self._values(run, name) for run in runs] for runs in (second, first)]
        clusters = self._clusters(second[0], name)
        if clusters is None or any(value is None for side in values for value in side):
            return None
        ids = self._table(second[0], name).ids
        for run in (*first, *second):
            if self._table(run, name).ids != ids:
                raise UsageError(
                    f"{run.folder} and {second[0].folder} have different queries, or in another order; "
                    "a paired test needs the same ones"
                )
        sides = [np.mean(np.stack([value for value in side if value is not None]), axis=0) for side in values]
        if len(np.unique(clusters[~np.isnan(sides[0])])) < _FEWEST:
            return None
        return sides[0], sides[1], clusters

    def _table(self, run: FinishedRun, name: str) -> QueryTable:
        direction = name.split("/")[1]
        if direction not in self._tables[run.folder]:
            raise DataError(f"{run.folder / QUERIES} has no {direction} queries; repeat the run")
        return self._tables[run.folder][direction]

    def _values(self, run: FinishedRun, name: str) -> Float64[np.ndarray, " queries"] | None:
        """The values whose mean is the metric; None where the file has none, or their mean is another number."""
        metric, kind = run.results.metric(name), name.split("/")[-1]
        if metric is None:
            return None
        table = self._table(run, name)
        task, columns = name.split("/")[0], table.columns
        usual = {"MeanR": "first_rank"}.get(kind, kind.replace("mAP@", "AP@"))
        values = columns.get(f"{task}/{kind}", columns.get(usual))
        if values is None and kind.startswith("R@"):
            values = np.where(np.isnan(table.first_ranks), np.nan, table.first_ranks <= int(kind[2:]))
        if values is None or abs(np.nanmean(values) - metric.value) > TOLERANCE * max(1.0, metric.value):
            return None
        return values

    def _clusters(self, run: FinishedRun, name: str) -> Int64[np.ndarray, " queries"] | None:
        """The cluster (image) of each query; from the stored embeddings where ``per_query.csv.gz`` does not have it."""
        table = self._table(run, name)
        images: Sequence[str | int] = table.images or (table.ids if table.direction == "i2t" else ())
        manifest = run.folder / "embeddings" / "manifest.json"
        if not images and manifest.is_file():
            stored = read_manifest(manifest.parent)
            owners = dict(zip(stored["texts"]["ids"], stored["caption_to_image"], strict=True))
            images = [owners[query] for query in table.ids] if set(table.ids) <= set(owners) else ()
        number = {image: position for position, image in enumerate(dict.fromkeys(images))}
        return np.array([number[image] for image in images]) if images else None


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's correction: p-values that may be read one by one though several tests were made.

    Args:
        ps: As they came from the tests.

    Returns:
        In the same order, each at least as large as before.

    Source:
        Holm 1979, A simple sequentially rejective multiple test procedure.
    """
    corrected, least = [0.0] * len(ps), 0.0
    for done, test in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        least = max(least, min(1.0, (len(ps) - done) * ps[test]))
        corrected[test] = least
    return corrected


def _fingerprints_content(run: FinishedRun) -> bool:
    """Whether the fingerprint of a run's data covers the content of image files; version 0.1 took their sizes."""
    return not run.results.versions.get("fico", "").startswith("0.1.")


def check_same_data(runs: Sequence[FinishedRun]) -> None:
    """Refuses runs whose numbers do not measure the same thing.

    Raises:
        UsageError: Two runs are on other data, another split or other contents, or define a metric differently; both
            are named.
    """
    first = runs[0]
    for other in runs[1:]:
        one, two = first.results.data, other.results.data
        if (one.name, one.split) != (two.name, two.split):
            raise UsageError(
                f"{first.folder} is on {one.name} {one.split}, {other.folder} on {two.name} {two.split}; "
                "compare runs on the same split"
            )
        is_known = _fingerprints_content(first) == _fingerprints_content(other)
        if is_known and one.fingerprint != two.fingerprint:
            raise UsageError(
                f"{first.folder} and {other.folder} are both on {one.name} {one.split}, but its content differs "
                f"(fingerprints {one.fingerprint[:12]} and {two.fingerprint[:12]}); repeat one on the other's data"
            )
        for name in sorted(set(first.results.metrics) & set(other.results.metrics)):
            meant = first.results.metrics[name].definition, other.results.metrics[name].definition
            if meant[0] != meant[1]:
                raise UsageError(
                    f"{first.folder} and {other.folder} define {name} differently ({meant[0]!r} and {meant[1]!r}); "
                    "repeat one with the other's metric.ties, metric.ap and the like"
                )
