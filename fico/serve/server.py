"""The socket and the server of the page, on this machine alone."""

import socket

from fico.errors import UsageError
from fico.util.optional import requires_extra

with requires_extra("serve"):
    import uvicorn
    from starlette.applications import Starlette

HOST = "127.0.0.1"  # no other machine reaches it
DEFAULT_PORT, TRIED = 8765, 20


def free_port(port: int | None) -> socket.socket:
    """A socket that is bound, so that a port that is taken is known before the runs are loaded.

    Args:
        port: The one to take; None: the first free one from 8765.

    Raises:
        UsageError: It is taken, or not allowed.
    """
    for wanted in range(DEFAULT_PORT, DEFAULT_PORT + TRIED) if port is None else (port,):
        bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # at once after the last server ended
        try:
            bound.bind((HOST, wanted))
        except OSError as error:
            bound.close()
            reason = error.strerror
            continue
        return bound
    which = f"port {port}" if port is not None else f"each port from {DEFAULT_PORT} to {DEFAULT_PORT + TRIED - 1}"
    raise UsageError(f"{which} of {HOST} cannot be used ({reason}); give another by --port N")


def address(bound: socket.socket) -> str:
    """Where a browser finds the page."""
    host, port = bound.getsockname()
    return f"http://{host}:{port}/"


def serve(app: Starlette, bound: socket.socket) -> None:
    """Answer requests until a signal ends it; SIGINT is raised as KeyboardInterrupt."""
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, lifespan="off", timeout_graceful_shutdown=1
    )
    uvicorn.Server(config).run(sockets=[bound])
