"""Hydra plugin: a sweep over several grids, as the union of what each of them alone would run."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

EVERYWHERE = {"experiment", "hydra", "logger", "run", "seed"}  # what the config of any experiment has


class GridSweeper(BasicSweeper):
    """Hydra's basic sweeper over ``params``, then over each further grid.

    What the command line sets holds in every grid. A further grid that sweeps over such a key is left out; one that
    chooses an ``experiment`` of its own, too, where the command line sets more than what every run has.

    Args:
        max_batch_size: Jobs that are launched together; None: all.
        params: The first grid: values, separated by commas, by key.
        further: Other grids in the same form.
    """

    def __init__(
        self,
        max_batch_size: int | None,
        params: Mapping[str, Any] | None = None,
        further: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        super().__init__(max_batch_size, dict(params or {}))
        self._further = further
        self._arguments: list[str] = []

    def sweep(self, arguments: list[str]) -> Any:
        """Launch the jobs of all grids in turn."""
        self._arguments = arguments
        return super().sweep(arguments)

    def split_arguments(self, overrides: list[Override], max_batch_size: int | None) -> list[list[list[str]]]:
        """Batches of jobs: those of ``overrides``, which are the first grid's, and those of the further grids."""
        given = self._parsed(self._arguments)
        keys = {each.get_key_element().lstrip("+~") for each in given} - {"experiment"}
        special = {key for key in keys if re.split("[./]", key)[0] not in EVERYWHERE}
        jobs = BasicSweeper.split_arguments(overrides, None)[0]
        for grid in self._further:
            if keys.isdisjoint(grid) and not ("experiment" in grid and special):
                kept = [each for each in given if each.get_key_element() not in grid]
                own = self._parsed([f"{key}={value}" for key, value in grid.items()])
                jobs += BasicSweeper.split_arguments([*own, *kept], None)[0]
        return list(self.split_overrides_to_chunks(jobs, max_batch_size))

    def _parsed(self, arguments: list[str]) -> list[Override]:
        assert self.hydra_context is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        return list(parser.parse_overrides(arguments))
