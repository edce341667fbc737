"""The service of W&B within a time limit: asked before a run goes online, left when it does not take its end."""

import base64
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import psutil

ASK_SECONDS = 3.0
NO_ANSWER = "no answer in time"
FINISH_SECONDS = 6.0  # W&B itself would wait for minutes
QUERY = json.dumps({"query": "query { viewer { id } }"}).encode()


def service_problem(seconds: float = ASK_SECONDS) -> str | None:
    """Why a run cannot go online, known within some seconds; None where the service answers.

    Args:
        seconds: Limit of connecting and of the answer.
    """
    import wandb

    settings = wandb.setup().settings
    key = settings.api_key or wandb.api.api_key
    if not key:
        return "there is no key; set WANDB_API_KEY, or run `wandb login`"
    token = base64.b64encode(f"api:{key}".encode()).decode()
    headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{settings.base_url}/graphql", QUERY, headers)  # noqa: S310  the user's own URL
    found = _within(seconds, lambda: _ask(request, seconds))
    return NO_ANSWER if found is None else found[0]


def finish_in_time(exit_code: int, seconds: float = FINISH_SECONDS) -> str | None:
    """Finish the run of W&B; its own process is ended when that takes too long.

    Args:
        exit_code: Of the run.
        seconds: Limit.

    Returns:
        What failed, or None.
    """
    import wandb

    found = _within(seconds, lambda: _attempt(wandb.finish, exit_code))
    if found is not None:
        return found[0]
    for child in psutil.Process().children():  # or it would be waited for at the exit
        if "wandb" in child.name():
            child.kill()
    _within(1, lambda: _attempt(wandb.teardown, exit_code))  # nothing is left for the exit
    return f"it took more than {seconds:.0f} s"


def _ask(request: urllib.request.Request, seconds: float) -> str | None:
    try:
        with urllib.request.urlopen(request, timeout=seconds) as answer:  # noqa: S310
            viewer = json.load(answer)["data"]["viewer"]
    except urllib.error.HTTPError as error:
        return "the key is refused" if error.code in (401, 403) else f"its answer is {error.code} {error.reason}"
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = getattr(error, "reason", error)
        return NO_ANSWER if isinstance(reason, TimeoutError) else str(reason) or type(error).__name__
    return None if viewer else "the key is not known"


def _attempt(call: Callable[..., Any], exit_code: int) -> str | None:
    try:
        call(exit_code=exit_code)
    except Exception as error:  # W&B must never cost a result
        return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
    return None


def _within(seconds: float, call: Callable[[], str | None]) -> list[str | None] | None:
    """The result of a call in a list, or None where it is not there in time; the thread is left behind then."""
    found: list[str | None] = []
    thread = threading.Thread(target=lambda: found.append(call()), daemon=True)
    thread.start()
    thread.join(seconds)
    return found or None
