"""Finds the reference cases: a test that takes ``<model>_case`` runs once for each case of that model.

Cases ship in ``tests/parity/cases``; the folder ``FICO_PARITY_DIR`` of the same form adds to them where it exists.
A case that is in both runs once.
"""

import json
import os
import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SHIPPED = Path(__file__).parent / "cases"
FOLDER = Path(os.environ["FICO_PARITY_DIR"])  # the default is set in tests/conftest.py
SOURCES = {"shipped": SHIPPED} | ({"folder": FOLDER} if FOLDER.exists() else {})


def cases(folder: Path) -> list[Path]:
    """Case folders of a model, or where it has none, case files ``<case>.npz`` beside ``<case>.json``."""
    return sorted(path for path in folder.glob("*") if path.is_dir()) or sorted(folder.glob("*.npz"))


@cache
def is_shipped(case: Path) -> bool:
    """Whether a case of the folder ships with the same content."""
    files = [*case.glob("*")] if case.is_dir() else [case, case.with_suffix(".json")]
    pairs = [(file, SHIPPED / file.relative_to(FOLDER)) for file in files]
    return all(shipped.exists() and _content(file) == _content(shipped) for file, shipped in pairs)


def _content(file: Path) -> Any:
    """What a file holds, whatever the spaces of a JSON and the compression of an archive."""
    if file.suffix == ".npz":
        return {name: (str(array.dtype), array.shape, array.tobytes()) for name, array in np.load(file).items()}
    return json.dumps(json.loads(file.read_text())) if file.suffix == ".json" else file.read_bytes()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for argument in metafunc.fixturenames:
        if argument.endswith("_case"):
            model = argument.removesuffix("_case")
            # A source without cases still runs the test once, with None, and the fixture below says what is wrong.
            found = [
                pytest.param(path, id=f"{source}-{model}-{path.stem if path else 'none'}")
                for source, folder in SOURCES.items()
                for path in cases(folder / model) or [None]
                if source == "shipped" or path is None or not is_shipped(path)
            ]
            metafunc.parametrize(argument, found)
    if "engine" in metafunc.fixturenames:  # of an evaluation
        metafunc.parametrize("engine", ["compiled", "torch"])


@pytest.fixture(autouse=True)
def _fail_without_cases(request: pytest.FixtureRequest) -> None:
    for argument in request.fixturenames:
        if argument.endswith("_case") and request.getfixturevalue(argument) is None:
            source = request.node.callspec.id.split("-")[0]
            pytest.fail(f"{SOURCES[source] / argument.removesuffix('_case')} holds no case")


def ranks_from_zero(sims: np.ndarray) -> dict[str, np.ndarray]:
    """Ranks in both directions; caption ``k`` belongs to image ``k // 5``, as ``inputs_note`` of the cases says."""
    image = np.arange(sims.shape[1]) // 5
    positives = sims[image, np.arange(len(image))]
    per_caption = (sims[image] > positives[:, None]).sum(axis=1)
    return {"i2t": per_caption.reshape(-1, 5).min(axis=1), "t2i": (sims > positives).sum(axis=0)}


def recall_summary(ranks: np.ndarray) -> list[float]:
    """Recall at 1, 5 and 10 in percent, median rank and mean rank from 1, as the original code prints them."""
    return [*(100 * (ranks < k).mean() for k in (1, 5, 10)), np.floor(np.median(ranks)) + 1, ranks.mean() + 1]


class Reference:
    """Inputs, outputs and meta of one case; remembers which outputs were compared."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.meta = json.loads((folder / "meta.json").read_text())
        self.inputs = dict(np.load(folder / "inputs.npz"))
        self.outputs = dict(np.load(folder / "outputs.npz"))
        self.checked: set[str] = set()

    def check(self, name: str, got: Any, rtol: float = 0.0, atol: float = 0.0) -> None:
        """Compare one output, elementwise: ``|got - wanted| <= atol + rtol |wanted|``."""
        got = got.detach().numpy() if hasattr(got, "detach") else np.asarray(got)
        np.testing.assert_allclose(got, self.outputs[name], rtol=rtol, atol=atol, err_msg=name)
        assert got.shape == self.outputs[name].shape, name
        self.checked.add(name)

    def tolerance(self, kind: str) -> dict[str, float]:
        """The first pair of bounds in a kind's sentence, as keywords of `check`."""
        return self.tolerances(kind)[0]

    def tolerances(self, kind: str) -> list[dict[str, float]]:
        """All pairs of bounds in a kind's sentence."""
        pairs = re.findall(r"rtol ([\d.e-]+), atol ([\d.e-]+)", self.meta["tolerances"][kind])
        return [{"rtol": float(rtol), "atol": float(atol)} for rtol, atol in pairs]

    def gradient_norm_tolerance(self) -> dict[str, float]:
        """The bound of the gradient norms in float32."""
        bound = re.search(r"rtol ([\d.e-]+) for gradient", self.meta["tolerances"]["f32"])
        return {"rtol": float(bound[1]), "atol": 1e-12}

    def check_ranks(self, sims: np.ndarray, name: str) -> dict[str, list[float]]:
        """Compare ranks and recalls of a score matrix, images x captions, in both directions.

        Returns:
            The summary of each direction; see `recall_summary`.
        """
        ranks = ranks_from_zero(sims)
        summaries = {direction: recall_summary(values) for direction, values in ranks.items()}
        for direction, summary in summaries.items():
            self.check(f"ranks_{direction}/{name}", ranks[direction])
            self.check(f"metrics_{direction}/{name}", summary, rtol=1e-12)
        return summaries

    def check_complete(self, **explained: str) -> None:
        """Every output was compared, or a reason is given for its name."""
        assert self.checked | set(explained) == set(self.outputs)


@pytest.fixture
def reference() -> type[Reference]:
    return Reference
