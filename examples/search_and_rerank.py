"""Three ways to search: codes alone, codes with floats for the best of them, and both in one index.

``python examples/search_and_rerank.py`` compares what they find with exact search.
"""

import sys
import time
from collections.abc import Callable

import numpy as np

import fico

BITS, CANDIDATES, K = 64, 1000, 10


def main() -> None:
    """Search 20,000 vectors and print the overlap with exact search, and the time."""
    rng = np.random.default_rng(0)
    items = rng.normal(size=(20_000, BITS)).astype(np.float32)
    queries = items[:200] + 0.4 * rng.normal(size=(200, BITS)).astype(np.float32)
    exact = fico.ExactSearch("inner")
    exact.add(items)
    truth = exact.search(queries, K).indices
    codes = fico.PopcountSearch(bits=BITS)
    codes.add(np.packbits(items > 0, axis=1))  # packed codes: eight signs a byte
    packed = np.packbits(queries > 0, axis=1)

    def by_codes() -> np.ndarray:
        return codes.search(packed, K).indices

    def reranked() -> np.ndarray:
        candidates = codes.search(packed, CANDIDATES).indices
        scores = np.einsum("qd,qcd->qc", queries, items[candidates])
        return np.take_along_axis(candidates, np.argsort(-scores, axis=1)[:, :K], axis=1)

    _compare("codes", by_codes, truth)
    _compare("codes, then floats", reranked, truth)
    try:
        hybrid = fico.HybridSearch(metric="inner", candidates=CANDIDATES)
        hybrid.add(items)
    except fico.FicoError as error:  # its partition is FAISS's: the extras cpu and gpu
        sys.stdout.write(f"hybrid: {error}\n")
    else:
        _compare("hybrid", lambda: hybrid.search(queries, K).indices, truth)


def _compare(name: str, search: Callable[[], np.ndarray], truth: np.ndarray) -> None:
    search()  # compiles
    begin = time.perf_counter()
    found = search()
    seconds = time.perf_counter() - begin
    overlap = np.mean([len(np.intersect1d(*rows)) for rows in zip(found, truth, strict=True)]) / truth.shape[1]
    sys.stdout.write(f"{name:20} {overlap:6.1%} of the exact {K}, {1e6 * seconds / len(truth):.0f} us a query\n")


if __name__ == "__main__":
    main()
