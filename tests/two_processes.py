"""Tests an untrained network of every model in one process and in two, forked from this one, and compares the bits.

    python tests/two_processes.py FOLDER MODEL...

Prints a line a model: its name and what differs, if anything does. A model of features reads those of a run before.
"""

import os
import socket
import sys
import warnings
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # a process with threads of OpenMP cannot be forked
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
SMALL = (
    "dataset.images=30", "metric.bootstrap=0", "index=[]", "logger=none", "trainer=cpu", "stage=[test]",
    "+untrained=true", "+trainer.enable_progress_bar=false", "~callbacks.efficiency",
)  # fmt: skip
TWO = ("trainer=ddp", "trainer.accelerator=cpu")


def tested(folder: Path, *overrides: str) -> dict[str, Any]:
    """Metrics, embeddings and scores of a test."""
    import pytorch_lightning as L

    from fico.experiment.checkpoints.module import fill_sizes
    from fico.experiment.context import run_context
    from fico.experiment.data import build_data
    from fico.experiment.resume.unfinished import Unfinished
    from fico.experiment.training import train_and_test
    from tests.configs import composed

    config = composed(*SMALL, *overrides)
    L.seed_everything(0, verbose=False)
    data = build_data(config)
    config.model.module = fill_sizes(config.model.module, data.inputs.sizes)
    folder.mkdir(parents=True, exist_ok=True)
    context = run_context(folder, config, data, "key")
    train_and_test(config, data, context, [], Unfinished(folder, "request", key="key"))
    outputs = context.outputs
    assert outputs.result is not None
    return {
        "metrics": outputs.result.metrics,
        "images": outputs.embeddings.images.numpy(),
        "texts": outputs.embeddings.texts.numpy(),
        "i2t": outputs.i2t,
        "t2i": outputs.t2i,
    }


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Names of what is not equal to the last bit."""
    import numpy as np

    def are_equal(a: Any, b: Any) -> bool:
        return (
            np.array_equal(a, b, equal_nan=True) if isinstance(a, np.ndarray) and isinstance(b, np.ndarray) else False
        )

    metrics = [name for name in one["metrics"] if not _same(one["metrics"][name], other["metrics"].get(name))]
    arrays = [name for name in ("images", "texts", "i2t", "t2i")
              if not (one[name] is None and other[name] is None) and not are_equal(one[name], other[name])]  # fmt: skip
    return metrics + arrays


def _same(a: float, b: float | None) -> bool:
    return a == b or (a != a and b is not None and b != b)


def main(folder: Path, models: list[str]) -> None:
    """Fork once for all models: a group of processes lasts as long as they do."""
    import torch

    from tests.configs import composed

    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    found = {model: tested(folder / model / "one", f"model={model}") for model in models}
    for model in models:
        composed(*SMALL, f"model={model}", *TWO)  # for both processes
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "NODE_RANK": "0"}
    second = os.fork() == 0
    os.environ["LOCAL_RANK"] = str(int(second))
    for model in models:
        both = tested(folder / model / "two", f"model={model}", *TWO)
        if not second:
            sys.stdout.write(f"{model}: {', '.join(differences(found[model], both)) or 'the same'}\n")
    sys.stdout.flush()
    if second:
        os._exit(0)
    os.wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), sys.argv[2:])
