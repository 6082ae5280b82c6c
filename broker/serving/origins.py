"""Which pages may connect: the server's own origin, and those the options list.

A browser sends the `Origin` of the page; other clients send none and are served. A foreign page
would act in the name of the user who looks at it, so it is refused on both transports (Node leaves
websockets to the application).
"""

from __future__ import annotations

from broker.values.handshake import Request
from broker.values.options import EngineOptions

from .refusals import FORBIDDEN, Refused


def check_origin(request: Request, options: EngineOptions) -> None:
    """Raise `Refused` for a page that may not connect."""
    origin = request.headers.get("origin")
    if origin is None or origin.lower() == request.origin or _is_listed(origin, options):
        return
    allowed = ", ".join((request.origin, *options.cors_allowed_origins))
    raise Refused(
        FORBIDDEN,
        f"a page of origin {origin!r} is not allowed to connect (allowed: {allowed}); to allow it "
        f"set cors_allowed_origins=[{origin!r}], or trusted_proxies if a proxy of yours stands "
        "before the broker",
        mendable=True,
        name="INVALID_ORIGIN",
        origin=origin,
    )


def cors_headers(request: Request, options: EngineOptions) -> dict[str, str]:
    """Return the headers that let a listed page read the answer."""
    origin = request.headers.get("origin")
    if origin is None or not _is_listed(origin, options):
        return {}
    headers = {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}
    if options.cors_credentials:
        headers["Access-Control-Allow-Credentials"] = "true"
    return headers


def preflight_headers(request: Request) -> dict[str, str]:
    """Return what a browser asks for before it sends a foreign page's request."""
    return {
        "Access-Control-Allow-Methods": "GET, POST",
        "Access-Control-Allow-Headers": request.headers.get("access-control-request-headers", "*"),
        "Access-Control-Max-Age": "600",
    }


def _is_listed(origin: str, options: EngineOptions) -> bool:
    listed = options.cors_allowed_origins
    return "*" in listed or origin.lower() in {known.lower() for known in listed}
