"""The shapes in signatures are checked when a function is called.

jaxtyping's own wrapper binds the arguments and checks them twice, a tenth of the time of all tests. This one has
beartype check each argument and the result once, within one scope of jaxtyping's dimensions.
"""

import builtins
import dataclasses
import functools
import inspect
import re

import jaxtyping
from beartype import BeartypeConf, beartype

_jaxtyped = jaxtyping.jaxtyped
_checks = beartype(conf=BeartypeConf(violation_type=jaxtyping.TypeCheckError))


def _checked(function=None, *, typechecker=None):
    """In place of `jaxtyping.jaxtyped`."""
    if function is None:
        return functools.partial(_checked, typechecker=typechecker)
    if dataclasses.is_dataclass(function) and "__init__" in vars(function):
        function.__init__ = _checked(function.__init__, typechecker=typechecker)
    if not inspect.isfunction(function):
        return function
    if inspect.isgeneratorfunction(function):  # beartype would check its arguments at the first step, outside the scope
        return _jaxtyped(function, typechecker=typechecker)
    declared = function.__annotations__
    function.__annotations__ = {name: hint for name, hint in declared.items() if _is_known(hint, function)}
    inner = _checks(function)
    function.__annotations__ = declared

    @functools.wraps(function)
    def wrapped(*args, **kwargs):
        with _jaxtyped("context"):
            return inner(*args, **kwargs)

    return wrapped


def _is_known(hint, function):
    """Whether its names can be resolved; those that only a type checker imports cannot."""
    known = {*function.__globals__, *vars(builtins), *function.__qualname__.split(".")}
    return not isinstance(hint, str) or set(re.findall(r"\w+", hint)) <= known


def check_shapes(modules):
    """Have it so in modules that are imported from now on."""
    jaxtyping.jaxtyped = _checked
    jaxtyping.install_import_hook(modules, "beartype.beartype")
