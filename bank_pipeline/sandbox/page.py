"""The look of the pages on which simulated customers decide."""

from typing import Final

PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; background: #f4f5f7; color: #1c1f24; margin: 0 }}
main {{ max-width: 32rem; margin: 3rem auto; background: #fff; padding: 1.5rem 2rem;
        border-radius: 12px; box-shadow: 0 1px 6px #0002 }}
h1 {{ font-size: 1.25rem }} h2 {{ font-size: 1rem; margin: 0 0 .25rem }}
form {{ border-top: 1px solid #e3e5e8; padding: 1rem 0 }} label {{ display: block }}
button {{ font: inherit; padding: .5rem 1rem; border-radius: 8px; border: 1px solid #1c1f24;
          background: #1c1f24; color: #fff; cursor: pointer; margin-top: .75rem }}
button.plain {{ background: #fff; color: #1c1f24 }} small {{ color: #60666e }}
</style></head><body><main>{body}</main></body></html>"""
"""`title` is escaped by the caller, `body` is HTML."""
