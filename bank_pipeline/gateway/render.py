"""Pages rendered on the server, with a policy that lets nothing foreign in."""

import json
import re
import secrets
from collections.abc import Collection
from datetime import datetime
from decimal import Decimal
from http import HTTPStatus
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

from bank_pipeline.domain.money import to_readable
from bank_pipeline.domain.visits import Visit
from bank_pipeline.providers.base import LinkWidget

PROVIDER_NAMES: Final = {
    "plaid": "Plaid",
    "gocardless": "GoCardless",
    "teller": "Teller",
    "enable_banking": "Enable Banking",
}


def page(
    template: str,
    *,
    visit: Visit | None = None,
    status: int = HTTPStatus.OK,
    images: Collection[str] = (),
    **facts: Any,  # noqa: ANN401 - whatever the template shows
) -> HTMLResponse:
    """
    Return a page. `images` are the addresses of foreign ones that it shows.

    Texts from banks and providers are escaped; there is no script but our own file.
    """
    body = _templates.get_template(f"{template}.html").render(visit=visit, **facts)
    return _respond(body, status=status, images=_origins(images))


def fragment(template: str, **facts: Any) -> str:  # noqa: ANN401 - as above
    """Return a part of a page, for one that is open already."""
    return _templates.get_template(f"{template}.html").render(**facts)


def message_page(
    title: str,
    text: str,
    *,
    status: int = HTTPStatus.OK,
    visit: Visit | None = None,
    again_s: int | None = None,
    onward: tuple[str, str] | None = None,
) -> HTMLResponse:
    """
    Return a page that says one thing.

    `again_s`: the browser asks again after so many seconds. `onward`: an address and its name.
    """
    return page(
        "message",
        visit=visit,
        status=status,
        title=title,
        text=text,
        again_s=again_s,
        onward=onward,
    )


def widget_page(widget: LinkWidget, *, action: str, state: str) -> HTMLResponse:
    """Return the page that runs a provider's widget and posts its result to `action`."""
    nonce = secrets.token_urlsafe(16)
    # Within a script no text of ours may close it.
    settings = json.dumps(dict(widget.settings)).replace("<", "\\u003c")
    body = _templates.get_template(f"widget_{widget.provider}.html").render(
        visit=None,
        title="Connect your bank",
        action=action,
        script_url=widget.script_url,
        settings=settings,
        state=state,
        nonce=nonce,
    )
    scripts = _origins([widget.script_url])
    return _respond(body, scripts=scripts, partners=" ".join(widget.origins), nonce=nonce)


def oauth_return_page() -> HTMLResponse:
    """Return the page that takes a customer back to the widget within which they left."""
    nonce = secrets.token_urlsafe(16)
    template = _templates.get_template("oauth_return.html")
    body = template.render(visit=None, title="Back from your bank", nonce=nonce)
    return _respond(body, nonce=nonce)


def _respond(
    body: str,
    *,
    status: int = HTTPStatus.OK,
    images: str = "",
    scripts: str = "",
    partners: str = "",
    nonce: str | None = None,
) -> HTMLResponse:
    """Send a page that no other site can frame, no cache keeps and no referrer tells of."""
    ours = "'self'" if nonce is None else f"'nonce-{nonce}'"
    # A provider's widget sets styles of its own; our pages need none but the file.
    styles = f"'self' 'unsafe-inline' {scripts}" if scripts else "'self'"
    allowed = {
        "default-src": "'none'",
        "style-src": styles,
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
        "script-src": f"{ours} {scripts}",
        "connect-src": f"'self' {scripts} {partners}",
        "frame-src": f"{scripts} {partners}" if scripts else "'none'",
        "img-src": f"'self' data: {images} {scripts}",
    }
    policy = "; ".join(f"{what} {' '.join(where.split())}" for what, where in allowed.items())
    headers = {
        "Content-Security-Policy": policy,
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    }
    return HTMLResponse(body, status, headers=headers)


def _origins(addresses: Collection[str]) -> str:
    """Return the hosts of addresses, as a policy names them."""
    return " ".join(sorted({found[0] for one in addresses if (found := _ORIGIN.match(one))}))


def to_picture(address: str | None) -> str | None:
    """Return the address of a foreign picture; None where it is none that a page may show."""
    return address if address and _ORIGIN.match(address) else None


_ORIGIN: Final = re.compile(r"https?://[A-Za-z0-9.-]+(?::\d+)?(?=[/?]|$)")
"""A provider's text that is not plainly this could say something else to the policy."""


def _moment(value: datetime | None) -> str:
    return "-" if value is None else f"{value:%Y-%m-%d %H:%M} UTC"


def _money(amount: Decimal | None, currency: str | None) -> str:
    return "unknown" if amount is None else f"{to_readable(amount)} {currency or ''}".rstrip()


def _provider(value: str) -> str:
    return PROVIDER_NAMES.get(value, value)


_templates: Final = Environment(
    loader=PackageLoader("bank_pipeline.gateway", "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.filters |= {
    "moment": _moment,
    "money": _money,
    "provider": _provider,
    "picture": to_picture,
}
