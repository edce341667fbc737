"""Each text of YAML that Hydra reads is parsed once a process, which takes half of the time of a composition."""

import pickle
from pathlib import Path

from omegaconf import OmegaConf

CONF = Path(__file__).resolve().parents[1] / "conf"
_load, _parsed = OmegaConf.load, {}


def _load_copy(file):
    """What `OmegaConf.load` makes of a file; of a text that it read before, a copy."""
    if not hasattr(file, "read"):
        return _load(file)
    start = file.tell()
    text = file.read()
    if text not in _parsed:
        file.seek(start)
        _parsed[text] = pickle.dumps(_load(file))
    return pickle.loads(_parsed[text])


def parse_once():
    """Have it so in this process and those forked from it."""
    OmegaConf.load = staticmethod(_load_copy)


def parse_config():
    """Parse the project's config now, for the processes that are forked from this one."""
    for path in CONF.rglob("*.yaml"):
        with path.open(encoding="utf-8") as file:
            _load_copy(file)
