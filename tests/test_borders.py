"""What loads what, and that the pins fit."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def loaded_after(statement):
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_importing_fico_loads_no_framework_and_no_torch():
    heavy = {
        "torch",
        "pytorch_lightning",
        "lightning",
        "hydra",
        "omegaconf",
        "wandb",
        "faiss",
        "numba",
        "transformers",
    }
    assert not heavy & loaded_after("import fico")


@pytest.mark.parametrize("module", ["run", "fico.cli.app"])
def test_entry_points_load_no_torch(module):
    assert "torch" not in loaded_after(f"import {module}")


def test_every_public_name_can_be_loaded():
    import fico

    for name in fico.__all__:
        assert getattr(fico, name).__name__ == name


def test_unknown_names_are_attribute_errors():
    import fico

    with pytest.raises(AttributeError, match="evaluat"):
        fico.evaluat  # noqa: B018


def pins(file):
    lines = (ROOT / file).read_text().splitlines()
    return dict(re.fullmatch(r"([\w.\-]+)==([\w.+!]+)", line).groups() for line in lines if line and line[0] != "#")


def requirements(*extras):
    """What an installation with these extras takes, those that an extra names as ``fico[...]`` followed."""
    for requirement in map(Requirement, PROJECT["dependencies"]):
        yield requirement
    for extra in extras:
        for requirement in map(Requirement, PROJECT["optional-dependencies"][extra]):
            if requirement.name == "fico":
                yield from requirements(*requirement.extras)
            else:
                yield requirement


@pytest.mark.parametrize("extra", ["cpu", "gpu", "test"])
def test_the_sets_of_the_readme_hold_every_optional_package(extra):
    optional = {requirement.name for requirement in requirements("train", "data", "text", "models", "report", "serve")}
    assert optional <= {requirement.name for requirement in requirements(extra)}


def test_the_compromised_package_lightning_is_in_no_set():
    every = {requirement.name for requirement in requirements(*PROJECT["optional-dependencies"])}
    assert "lightning" not in every | set(pins("constraints.txt")) | set(pins("constraints-gpu.txt"))


CORE = """
import builtins, sys
import numpy as np

real = builtins.__import__
optional, missed = sys.argv[1].split(","), set()

def blocked(name, globals=None, locals=None, fromlist=(), level=0):
    if (globals or {}).get("__name__", "").partition(".")[0] == "fico" and name.partition(".")[0] in optional:
        missed.add(name)
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return real(name, globals, locals, fromlist, level)

builtins.__import__ = blocked
import fico

evaluate = fico.evaluate
rng = np.random.default_rng(0)
images, texts = rng.normal(size=(40, 16)).astype("f"), rng.normal(size=(80, 16)).astype("f")
pairs, labels = fico.Correspondence(np.repeat(np.arange(40), 2)), rng.random((40, 3)) < 0.5
result = evaluate(images, texts, pairs, labels=labels, similarity="cosine", bootstrap=2)
print(*missed)
print(*sys.modules)
import fico.evaluation.evaluate, fico.embeddings.encode

assert fico.evaluate is evaluate
assert 0 < result.metrics["instance/i2t/R@10"] < 1
codes = fico.PopcountSearch(16)
for searcher in (fico.ExactSearch("cosine"), codes):
    items = np.where(images > 0, 1, -1).astype(np.int8) if searcher is codes else images
    searcher.add(items)
    assert searcher.search(items[:3], 2).indices[:, 0].tolist() == [0, 1, 2]
try:
    fico.FaissSearch("Flat").add(images)
except fico.FicoError as error:
    print(error)
"""


@pytest.fixture(scope="module")
def core():
    """Lines of what evaluates and searches where no optional package is: names missed so far, modules, an error."""
    from importlib.metadata import packages_distributions

    core = {requirement.name for requirement in requirements()}
    names = {
        requirement.name for requirement in requirements("train", "data", "text", "models", "report", "serve")
    } - core
    modules = {module for module, parts in packages_distributions().items() if names & set(map(str.lower, parts))}
    command = [sys.executable, "-c", CORE, ",".join(sorted(modules | {"faiss", "tokenizers", "yaml"}))]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_evaluation_and_search_take_no_optional_package(core):
    assert core[2].startswith("faiss is not installed; it comes with the extra cpu or gpu:")


def test_evaluating_loads_no_framework_and_a_public_name_stays_itself_after_other_imports(core):
    frameworks = {"pytorch_lightning", "lightning", "hydra", "omegaconf", "wandb", "faiss"}
    slow = {"torchmetrics", "transformers", "scipy.signal", "scipy.stats", "pandas", "rich.console", "torch._dynamo"}
    assert core[0] == ""  # so the modules are those of a process in which nothing is missed
    assert not (frameworks | slow) & set(core[1].split())


@pytest.mark.parametrize(
    ("file", "extras"), [("constraints.txt", ("cpu", "test")), ("constraints-gpu.txt", ("gpu", "test"))]
)
def test_every_pin_fits_its_range_and_every_dependency_is_pinned(file, extras):
    pinned = {name.lower().replace("_", "-"): version for name, version in pins(file).items()}
    for requirement in requirements(*extras):
        assert pinned[requirement.name] in requirement.specifier, requirement


def test_the_continuous_integration_runs_tests_that_exist():
    paths = re.findall(r"tests/[\w/.]+", (ROOT / ".ci" / "run").read_text())
    assert paths
    assert all((ROOT / path).exists() for path in paths)
    assert "run: .ci/run" in (ROOT / ".github" / "workflows" / "ci.yml").read_text()


def test_citation_and_changelog_name_the_version():
    assert f"\nversion: {PROJECT['version']}\n" in (ROOT / "CITATION.cff").read_text()
    assert PROJECT["version"] in (ROOT / "CHANGELOG.md").read_text()


def test_the_cpu_set_holds_no_torchvision():
    assert not {"torchvision", "timm", "faiss-gpu"} & set(pins("constraints.txt"))


def test_no_module_imports_torchvision_at_its_top():
    for path in (path for folder in ("fico", "models", "callbacks") for path in (ROOT / folder).rglob("*.py")):
        assert not re.search(r"^(from|import) torchvision", path.read_text(), re.MULTILINE), path


def test_every_bench_is_in_the_contract_that_keeps_them_apart():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    apart = next(contract["modules"] for contract in contracts if contract["type"] == "independence")
    there = [f"fico.bench.{path.parent.name}" for path in (ROOT / "fico" / "bench").glob("*/__init__.py")]
    assert sorted(there) == sorted(apart)
