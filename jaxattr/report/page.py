"""A page as one HTML file that asks for nothing from anywhere."""

from __future__ import annotations

import base64
import hashlib
import html
import importlib.resources
import json

from jaxattr.report.blocks import Page

_HTML = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; \
style-src 'sha256-{style_hash}'; script-src 'sha256-{script_hash}'">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<noscript>This report needs JavaScript, all of which is in this file.</noscript>
<div id="report"></div>
<script type="application/json" id="page">{data}</script>
<script>{script}</script>
</body>
</html>
"""


def to_html(page: Page) -> str:
    """The text of the file.

    All that comes from results is data of the page, which the script shows as text: a
    photograph called ``<script>`` runs nothing. A policy in the page forbids every
    script but its own and every address.
    """
    style, script = _asset("report.css"), _asset("report.js")
    return _HTML.format(
        title=html.escape(page.title),
        style=style,
        style_hash=_sha256(style),
        script=script,
        script_hash=_sha256(script),
        data=_as_json(page),
    )


def _as_json(page: Page) -> str:
    """JSON that cannot end the element it stands in."""
    text = json.dumps(_plain(page), allow_nan=False, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _plain(value: object) -> object:
    """Named tuples as objects with the names of their classes."""
    if hasattr(value, "_asdict"):
        fields = {name: _plain(field) for name, field in value._asdict().items()}
        return {"type": type(value).__name__, **fields}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _asset(name: str) -> str:
    folder = importlib.resources.files("jaxattr.report") / "assets"
    return (folder / name).read_text(encoding="utf-8")


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
