"""The web application of the page: a few routes, and what a browser may do with them."""

import json
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

from fico.errors import DataError, FicoError, UsageError
from fico.images.decode import open_rgb
from fico.report.html.environment import page_environment
from fico.serve.columns import Query
from fico.serve.service import SearchService
from fico.util.optional import requires_extra

with requires_extra("serve"):
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.middleware import Middleware
    from starlette.middleware.base import BaseHTTPMiddleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.requests import Request
    from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
    from starlette.routing import Route

HOSTS = ["127.0.0.1", "localhost"]  # a page of another name that resolves to this machine is refused (DNS rebinding)
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
MOST_TEXT, MOST_IMAGE = 100_000, 20 * 2**20  # bytes of a request
STATIC = {"serve.js": "text/javascript", "icon.svg": "image/svg+xml"}
A_DAY = {"Cache-Control": "private, max-age=86400"}


def make_app(service: SearchService) -> Starlette:
    """The application that shows a service."""
    endpoints = _Endpoints(service)
    return Starlette(
        routes=[
            Route("/", endpoints.page),
            Route("/style.css", _style),
            Route("/static/{name}", _static),
            Route("/sample", endpoints.sample),
            Route("/pictures/{row:int}", endpoints.picture),
            Route("/search/{column:int}", endpoints.search, methods=["POST"]),
        ],
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS),
            Middleware(BaseHTTPMiddleware, dispatch=_guard),
        ],
    )


class _Endpoints:
    """Those that depend on the runs."""

    def __init__(self, service: SearchService) -> None:
        self._service = service

    def page(self, request: Request) -> Response:
        try:
            self._service.refresh()
        except DataError as error:
            return PlainTextResponse(f"{error}; then load the page again", 404)
        return HTMLResponse(_template("serve.html.jinja", service=self._service), headers={"Cache-Control": "no-store"})

    def sample(self, request: Request) -> Response:
        return JSONResponse(self._service.sample(), headers={"Cache-Control": "no-store"})

    def picture(self, request: Request) -> Response:
        row = request.path_params["row"]
        if row >= len(self._service.collection.image_ids):
            return PlainTextResponse("no such image", 404)
        try:
            return Response(self._service.collection.thumbnail(row), media_type="image/jpeg", headers=A_DAY)
        except DataError as error:
            return PlainTextResponse(str(error), 404)

    async def search(self, request: Request) -> Response:
        column = request.path_params["column"]
        if column >= len(self._service.columns):
            return _refused("there is no such column; load the page again", 404)
        is_image = request.headers.get("content-type", "").startswith("image/")
        body = await _body(request, MOST_IMAGE if is_image else MOST_TEXT)
        if body is None:
            return _refused(f"the {'image' if is_image else 'text'} is too large; give a smaller one", 413)
        try:
            candidates = self._candidates(request.query_params.get("candidates", ""))
            return await run_in_threadpool(self._found, column, body, is_image, candidates)
        except FicoError as error:  # an answer like others, and no failure in the browser's console
            return _refused(str(error), 200)

    def _found(self, column: int, body: bytes, is_image: bool, candidates: int) -> Response:
        with self._query(body, is_image) as query:
            return JSONResponse(self._service.search(column, query, candidates))

    @contextmanager
    def _query(self, body: bytes, is_image: bool) -> Iterator[Query]:
        if not is_image:
            yield self._service.stored_query(_json(body))
            return
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "image"
            path.write_bytes(body)
            try:
                open_rgb(path)
            except DataError:
                raise DataError("the file is no image that can be read, or a huge one; choose another") from None
            yield Query(image=path)

    def _candidates(self, wanted: str) -> int:
        most = self._service.most_candidates
        if not wanted.isdecimal() or not 1 <= int(wanted) <= most:
            raise UsageError(f"the number of candidates is {wanted!r}; it lies between 1 and {most}")
        return int(wanted)


def _style(request: Request) -> Response:
    return Response(_template("serve.css.jinja"), media_type="text/css")


def _static(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in STATIC:
        return PlainTextResponse("no such file", 404)
    return Response(files("fico.serve").joinpath("static", name).read_bytes(), media_type=STATIC[name])


def _template(name: str, **values: Any) -> str:
    return page_environment("fico.serve").get_template(name).render(values)


async def _guard(request: Request, respond: Callable[[Request], Awaitable[Response]]) -> Response:
    """Refuse requests that pages of other origins send; tell the browser what this one may load."""
    origin = request.headers.get("origin")
    if origin is not None and origin != f"http://{request.headers.get('host')}":
        return PlainTextResponse("requests of other pages are refused", 403)
    response = await respond(request)
    response.headers.update(HEADERS)
    return response


async def _body(request: Request, most: int) -> bytes | None:
    """The body of a request; None where it is longer than allowed, of which no more is read."""
    parts = bytearray()
    async for part in request.stream():
        parts += part
        if len(parts) > most:
            return None
    return bytes(parts)


def _json(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise UsageError("this request is no JSON object; load the page again")
    return content


def _refused(sentence: str, status: int) -> Response:
    return JSONResponse({"error": sentence}, status)
