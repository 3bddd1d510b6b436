"""Pages of HTML in one file: no script, no font file, nothing that is loaded."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from html import escape

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #1d2129; background: #fff; margin: 2rem auto; max-width: 1200px;
       padding: 0 1.5rem; }
h1 { font-size: 1.5rem; margin: 0 0 .3rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .6rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; } th { white-space: nowrap; }
th, td { padding: .2rem 1rem .2rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid #e4e6ea; }
img { max-width: 100%; } pre { background: #f4f5f7; padding: .8rem; overflow-x: auto; font-size: .85rem; }
.note { color: #444; font-size: .9rem; }
"""


def page(title: str, parts: Iterable[str], style: str) -> str:
    """Return a page with a title, the parts of its body, and a style besides that of all pages."""
    return "\n".join((
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title>\n<style>{_STYLE}{style.lstrip()}</style>\n</head>\n<body>",
        *parts, "</body>\n</html>\n"))


def table(rows: Iterable[tuple[str, str]]) -> str:
    """Return a table of names and texts."""
    return "<table>" + "".join(f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in rows
                               ) + "</table>"


def png_address(png: bytes) -> str:
    """Return the address of a PNG file within the page."""
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
