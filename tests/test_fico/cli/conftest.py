"""A small data set that commands may write into."""

from functools import cache

import pytest
import typer.main
import typer.testing

from fico.datasets.shapes.shapes import Shapes


@pytest.fixture(scope="package", autouse=True)
def built_once():
    """Typer builds all commands at each start, a tenth of a second; here each start finds those of the first."""
    build = cache(typer.main.get_command)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.main, "get_command", build)
        patch.setattr(typer.testing, "_get_command", build)
        yield


@pytest.fixture(scope="package")
def scenes(tmp_path_factory):
    """A data set of 20 images in each split."""
    dataset = Shapes(20, root=tmp_path_factory.mktemp("scenes"), progress=False)
    dataset.split("train")
    return dataset.root


@pytest.fixture
def root(scenes, tmp_path):
    """Its images and captions without labels, in a folder of each test's own."""
    folder = tmp_path / "data"
    folder.mkdir()
    for path in scenes.iterdir():
        if path.name != "labels.npz":
            (folder / path.name).symlink_to(path)
    return folder
