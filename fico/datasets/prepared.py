"""A look at a data set's folder before anything heavy is imported."""

from pathlib import Path

from fico.datasets.recipes import find_recipe
from fico.errors import DataError, PathError


def check_prepared(name: str, root: str | Path) -> None:
    """Refuse a folder that is missing, or that lacks parts of a data set with a recipe.

    Args:
        name: Of the data set; ``shapes`` makes its folder itself.
        root: The folder, or the path of its Karpathy JSON.

    Raises:
        DataError: One sentence on what is missing and the command that gets it.
    """
    recipe, folder = find_recipe(name), Path(root).expanduser()
    if recipe is None:
        if name != "shapes" and not folder.exists():
            raise PathError(f"there is no folder {folder} with the data set {name}; correct dataset.root")
        return
    missing = [] if folder.is_file() else recipe.layout.missing(folder)
    if missing:
        raise DataError(
            f"the data set {name} is incomplete in {folder}: missing {' and '.join(missing)}; run "
            f"`fico prepare {name} --root {root}`, or set dataset.root to the folder that holds it"
        )
