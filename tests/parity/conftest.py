"""Finds the reference cases: a test that takes ``<model>_case`` runs once for each case of that model."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("FICO_PARITY_DIR") or ROOT.parent / "shared" / "parity")


def cases(model: str) -> list[Path]:
    """Case folders of a model, or where it has none, case files ``<case>.npz`` beside ``<case>.json``."""
    folder = FOLDER / model
    return sorted(path for path in folder.glob("*") if path.is_dir()) or sorted(folder.glob("*.npz"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for argument in metafunc.fixturenames:
        if argument.endswith("_case"):
            model = argument.removesuffix("_case")
            # Without cases the test still runs once, with None, and the fixture below says what is wrong.
            found = cases(model) or [None]
            metafunc.parametrize(argument, found, ids=[f"{model}-{path.stem if path else 'none'}" for path in found])


@pytest.fixture(autouse=True)
def _skip_without_reference_data(request: pytest.FixtureRequest) -> None:
    missing = [
        argument.removesuffix("_case")
        for argument in request.fixturenames
        if argument.endswith("_case") and request.getfixturevalue(argument) is None
    ]
    if missing and not FOLDER.exists():
        pytest.skip(f"no reference data: {FOLDER} is absent")
    if missing:
        pytest.fail(f"{FOLDER / missing[0]} holds no case")


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

    def check_complete(self, **explained: str) -> None:
        """Every output was compared, or a reason is given for its name."""
        assert self.checked | set(explained) == set(self.outputs)


@pytest.fixture
def reference() -> type[Reference]:
    return Reference
