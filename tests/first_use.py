"""What processes make at their first use of a library, made before they are forked: half a second of each run less."""

import sys

from tests.parsed_once import CONF, parse_config, parse_once


def use_libraries():
    """Use those that are imported, each a little; nothing of it shows in what a fork does."""
    if "numba" in sys.modules:
        from numba.core.registry import cpu_target

        for context in (cpu_target.typing_context, cpu_target.target_context):
            context.refresh()  # imports what numba does for a first kernel
    if "hydra" in sys.modules:
        _compose()
    if "fico.report.html.page" in sys.modules:
        _draw_and_render()


def _compose():
    """Plugins, the states of the override parser, and all files of the config."""
    from hydra import compose, initialize_config_dir

    from fico.experiment.config.resolvers import register_resolvers

    parse_once()
    parse_config()
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        compose("config", ["model=ucch", "model.bits=16"], return_hydra_config=True)


def _draw_and_render():
    """Fonts and the template of a run's page."""
    from fico.report.figures.page_svg import add_legend, as_svg, new_axes
    from fico.report.html.environment import page_environment

    figure, axes = new_axes("across", "up")
    axes.plot([1, 10], [0, 1], label="a")
    add_legend(axes)
    as_svg(figure, "first")
    page_environment().get_template("report.html.jinja")
