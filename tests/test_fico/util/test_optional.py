import ast
import re
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from fico.errors import UsageError
from fico.util.optional import MissingExtra, requires_extra

ROOT = Path(__file__).resolve().parents[3]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
BROUGHT_ALONG = {"tokenizers": "transformers", "huggingface_hub": "transformers", "yaml": "omegaconf"}
LOADED_WHERE_FOUND = {"triton"}  # the search looks for it before it imports its kernels


@cache  # reading what is installed takes a tenth of a second
def optional_modules():
    """Module name -> extras that bring it."""
    modules, distributions = {}, packages_distributions()
    for extra in ("train", "data", "text", "models", "report", "serve", "cpu", "gpu", "ray", "rivals"):
        for name in (Requirement(line).name.lower() for line in EXTRAS[extra] if not line.startswith("fico[")):
            found = {module for module, parts in distributions.items() if name in map(str.lower, parts)}
            found |= {module for module, package in BROUGHT_ALONG.items() if package == name}
            for module in found or {name.removesuffix("-cpu").removesuffix("-gpu")}:
                modules.setdefault(module, set()).add(extra)
    return modules


def imports_without_their_extra(tree, optional):
    """Lines of imports of optional packages that stand in no `requires_extra` with an extra that brings them."""

    def visit(node, named):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
        if isinstance(node, ast.With) and ast.unparse(call := node.items[0].context_expr).startswith("requires_extra("):
            named = {argument.value for argument in call.args}
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
        for name in names:
            brought_by = optional.get(name.partition(".")[0])
            if brought_by and not named & brought_by:
                yield node.lineno
        for child in ast.iter_child_nodes(node):
            yield from visit(child, named)

    return list(visit(tree, set()))


@pytest.mark.parametrize(
    "package", sorted(path.name for path in (ROOT / "fico").iterdir() if path.name != "experiment")
)
def test_every_import_of_an_optional_package_names_an_extra_that_brings_it(package):
    optional = {module: extras for module, extras in optional_modules().items() if module not in LOADED_WHERE_FOUND}
    assert {"gensim", "transformers", "matplotlib", "h5py", "PIL", "faiss", "ray"} <= set(optional)
    path = ROOT / "fico" / package
    bare = {
        f"{file.relative_to(ROOT)}:{line}"
        for file in ([path] if path.suffix == ".py" else path.rglob("*.py"))
        for line in imports_without_their_extra(ast.parse(file.read_text()), optional)
    }
    assert not bare


def test_a_bare_import_is_seen():
    code = 'with requires_extra("data"):\n    import gensim\nfrom gensim.models import doc2vec\n'
    assert imports_without_their_extra(ast.parse(code), {"gensim": {"text"}}) == [2, 3]
    assert imports_without_their_extra(ast.parse(code), {"gensim": {"data"}}) == [3]


def test_a_missing_package_is_one_sentence_with_its_extra():
    wanted = 'nothing_like_it is not installed; it comes with the extra text: pip install "fico[text]", in a checkout'
    with pytest.raises(UsageError, match=re.escape(wanted)) as caught, requires_extra("text"):
        import nothing_like_it.part  # noqa: F401
    assert isinstance(caught.value, ImportError)


def test_a_broken_package_is_told_with_its_error():
    wanted = r'operator torchvision::nms.*"fico\[cpu\]" or pip install "fico\[gpu\]"'
    with pytest.raises(MissingExtra, match=wanted), requires_extra("cpu", "gpu"):
        raise RuntimeError("operator torchvision::nms does not exist")
