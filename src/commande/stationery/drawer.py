"""The drawer with the static files: read once, addressed by their content, kept by browsers."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

_FOLDER: Final = Path(__file__).with_name("static")
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Sheet:
    """One static file."""

    content: bytes
    media_type: str
    version: str
    """Changes with the content, so that an address never means two contents."""


def _read(path: Path) -> Sheet:
    content = path.read_bytes()
    return Sheet(content, _TYPES[path.suffix], hashlib.sha256(content).hexdigest()[:10])


SHEETS: Final = {
    path.relative_to(_FOLDER).as_posix(): _read(path)
    for path in sorted(_FOLDER.rglob("*"))
    if path.suffix in _TYPES
}


def static_path(name: str) -> str:
    """The file's address below the static folder; a file that is missing is a KeyError."""
    return f"{name}?v={SHEETS[name].version}"


async def answer_static(request: Request) -> Response:
    """Answer a request for one of the files. Only names that were found at the start exist."""
    sheet = SHEETS.get(request.path_params["name"])
    if sheet is None:
        return Response("There is no such file.", 404, media_type="text/plain")
    # Without its version the address may mean another content tomorrow.
    named = request.query_params.get("v") == sheet.version
    kept = "public, max-age=31536000, immutable" if named else "no-cache"
    headers = {
        "Cache-Control": kept,
        "ETag": f'"{sheet.version}"',
        "X-Content-Type-Options": "nosniff",
        # A drawing opened by itself is a document: it may do nothing.
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    }
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(sheet.content, media_type=sheet.media_type, headers=headers)
