"""The processes of one run, before PyTorch has connected them: started by Lightning or by torchrun."""

import os
from collections.abc import Callable
from datetime import timedelta

WAIT = timedelta(minutes=10)


def launched_rank() -> int:
    """Rank of this process among those of the run, by what its launcher told it; 0 for a single one."""
    return int(os.environ["RANK"] if is_torchrun() else os.environ.get("LOCAL_RANK", 0))


def is_torchrun() -> bool:
    """Whether torchrun starts every process; Lightning's own launcher lets the first one start the others."""
    return "TORCHELASTIC_RUN_ID" in os.environ and "RANK" in os.environ


def shared(name: str, make: Callable[[], str]) -> str:
    """A value that the first process makes and, under torchrun, the others take from its store.

    Processes that Lightning starts make their own: the first one has begun the run before and names them its folder.

    Args:
        name: The same in every process, used once in a run.
        make: Called in the first process alone.
    """
    if not is_torchrun() or os.environ.get("WORLD_SIZE") == "1":
        return make()
    from torch.distributed import TCPStore  # type: ignore[attr-defined]  # its stubs name it elsewhere

    store = TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False, timeout=WAIT)
    key = f"fico/{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}/{name}"
    if launched_rank() == 0:
        store.set(key, make())
    return str(store.get(key).decode())
