"""Recipes of the data sets that `fico prepare` gets: one file each, found by its name; nothing here loads torch."""

from importlib import import_module
from pkgutil import iter_modules

from fico.datasets.recipes.recipe import Recipe

_SHARED = ("layout", "recipe")  # files that hold no recipe


def recipe_names() -> tuple[str, ...]:
    """Names of the data sets that can be prepared, in alphabetical order."""
    return tuple(sorted(module.name for module in iter_modules(__path__) if module.name not in _SHARED))


def all_recipes() -> dict[str, Recipe]:
    """Load every recipe, by the name of its data set."""
    return {name: recipe for name in recipe_names() if (recipe := find_recipe(name)) is not None}


def find_recipe(name: str) -> Recipe | None:
    """Load the recipe of a data set; None where it has none, as its folder is used as it is."""
    if name not in recipe_names():
        return None
    recipe: Recipe = import_module(f"{__name__}.{name}").RECIPE
    return recipe
