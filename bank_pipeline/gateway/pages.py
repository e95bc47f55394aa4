"""The few pages that customers see, rendered on the server. Pure."""

import json
import secrets
from typing import Final
from urllib.parse import urlsplit

from jinja2 import DictLoader, Environment
from starlette.responses import HTMLResponse

from bank_pipeline.providers.base import LinkWidget

_LAYOUT: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{ title }}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body { font: 16px/1.5 system-ui, sans-serif; background: #f4f5f7; color: #1c1f24; margin: 0 }
main { max-width: 30rem; margin: 3rem auto; background: #fff; padding: 1.5rem 2rem;
       border-radius: 12px; box-shadow: 0 1px 6px #0002 }
h1 { font-size: 1.25rem }
button { font: inherit; padding: .5rem 1rem; border-radius: 8px; border: 1px solid #1c1f24;
         background: #1c1f24; color: #fff; cursor: pointer }
</style></head><body><main><h1>{{ title }}</h1>{% block body %}{% endblock %}</main></body></html>
"""

_MESSAGE: Final = """{% extends "layout" %}{% block body %}<p>{{ text }}</p>{% endblock %}"""

# The widget hands its result to this page, which posts it back as a form: the token is in no URL.
_WIDGET: Final = """{% extends "layout" %}{% block body %}
<p>Choose your bank and log in there. This window shows when it is done.</p>
<button id="open" type="button">Choose a bank</button>
<form id="result" method="post" action="{{ action }}"></form>
<script src="{{ script_url }}" nonce="{{ nonce }}"></script>
<script nonce="{{ nonce }}">
const settings = {{ settings | safe }};
function send(fields) {
  const form = document.getElementById("result");
  for (const [name, value] of Object.entries({state: settings.nonce, ...fields})) {
    const input = document.createElement("input");
    input.type = "hidden"; input.name = name; input.value = value;
    form.appendChild(input);
  }
  form.submit();
}
const widget = TellerConnect.setup({
  ...settings,
  onSuccess: (done) => send({
    access_token: done.accessToken,
    enrollment_id: done.enrollment.id,
    institution_name: (done.enrollment.institution || {}).name || "",
    user_id: (done.user || {}).id || "",
    signatures: (done.signatures || []).join(","),
  }),
  onFailure: (failure) => send({failure: failure.code || failure.type || "failure"}),
  onExit: () => send({exit: "1"}),
});
document.getElementById("open").addEventListener("click", () => widget.open());
</script>{% endblock %}"""

_pages: Final = Environment(
    loader=DictLoader({"layout": _LAYOUT, "message": _MESSAGE, "widget": _WIDGET}), autoescape=True
)


def message_page(title: str, text: str, *, status: int = 200) -> HTMLResponse:
    """Return a page that says one thing."""
    nonce = secrets.token_urlsafe(16)
    body = _pages.get_template("message").render(title=title, text=text, nonce=nonce)
    return _respond(body, nonce, scripts=(), status=status)


def widget_page(widget: LinkWidget, *, action: str) -> HTMLResponse:
    """Return the page that runs a provider's widget and posts its result to `action`."""
    nonce = secrets.token_urlsafe(16)
    # Within a script no text of ours may close it.
    settings = json.dumps(dict(widget.settings)).replace("<", "\\u003c")
    body = _pages.get_template("widget").render(
        title="Connect your bank",
        action=action,
        script_url=widget.script_url,
        settings=settings,
        nonce=nonce,
    )
    parts = urlsplit(widget.script_url)
    return _respond(body, nonce, scripts=(f"{parts.scheme}://{parts.netloc}",), status=200)


def _respond(body: str, nonce: str, *, scripts: tuple[str, ...], status: int) -> HTMLResponse:
    """Send a page that no other site can frame, no cache keeps and no referrer tells of."""
    hosts = " ".join(scripts)
    frames = hosts or "'none'"
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline' {hosts}; form-action 'self'; "
        f"base-uri 'none'; frame-ancestors 'none'; script-src 'nonce-{nonce}' {hosts}; "
        f"connect-src 'self' {hosts}; frame-src {frames}; img-src 'self' data: {hosts}"
    ).rstrip()  # a value that ends in a blank is no header
    return HTMLResponse(
        body,
        status,
        headers={
            "Content-Security-Policy": policy,
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        },
    )
