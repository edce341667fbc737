"""The processes of one run, before PyTorch has connected them: started by Lightning or by torchrun."""

import os
import threading
import time
from collections.abc import Callable
from datetime import timedelta

WAIT = timedelta(minutes=10)
FIRST = "FICO_FIRST_PROCESS"  # variable with the number of the process that Lightning's launcher runs in


def launched_rank() -> int:
    """Rank of this process among those of the run, by what its launcher told it; 0 for a single one."""
    return int(os.environ["RANK"] if is_torchrun() else os.environ.get("LOCAL_RANK", 0))


def is_torchrun() -> bool:
    """Whether torchrun starts every process; Lightning's own launcher lets the first one start the others."""
    return "TORCHELASTIC_RUN_ID" in os.environ and "RANK" in os.environ


def end_with_the_first() -> None:
    """Let a process that Lightning started end with the first one: killed, that one can no longer end the others.

    They would wait for it in vain, half an hour long, and write the folder of the run that goes on meanwhile.
    """
    if launched_rank() == 0 or is_torchrun():  # torchrun ends its processes itself
        os.environ[FIRST] = str(os.getpid())
        return
    first = int(os.environ.get(FIRST, os.getppid()))

    def watch() -> None:
        while os.getppid() == first:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


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
