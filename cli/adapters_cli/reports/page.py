"""A page in one file, which asks no host for anything."""

import base64
import hashlib
from importlib import resources

from adapters_cli.reports.markup import Markup, element, joined

_THEMES = (("auto", "System"), ("light", "Light"), ("dark", "Dark"))


def page(
    *, title: str, kind: str, links: list[tuple[str, str]], tools: Markup, body: Markup, data: str = ""
) -> str:
    """Return an HTML document with the style and the script of every report.

    kind:
        What it is, above the title.
    links:
        Anchors and names of the sections.
    tools:
        Controls in the bar, beside the colour theme.
    data:
        Packed data for the script, in base64.
    """
    style, script = _own("page.css"), _own("page.js")
    policy = "; ".join(
        (
            "default-src 'none'",
            f"style-src '{_digest(style)}'",
            f"script-src '{_digest(script)}'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
    head = joined(
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", title),
        element("link", rel="icon", href="data:,"),
        element("style", Markup(style)),
    )
    content = joined(
        element("a", "Skip to the content", class_="skip", href="#main"),
        element(
            "header",
            element("p", kind, class_="kind"),
            element(
                "nav",
                *(element("a", name, href=f"#{anchor}") for anchor, name in links),
                aria_label="Sections",
            )
            if links
            else None,
            element("div", tools, _theme(), class_="tools js"),
            class_="bar",
        ),
        element("main", body, id="main", tabindex="-1"),
        element("script", Markup(data), type="text/plain", id="data") if data else None,
        element("script", Markup(script)),
    )
    return f"<!doctype html>\n{element('html', element('head', head), element('body', content), lang='en')}\n"


def _theme() -> Markup:
    options = (element("option", name, value=value) for value, name in _THEMES)
    return element("label", "Colours ", element("select", *options, id="theme"))


def _own(name: str) -> str:
    return resources.files("adapters_cli.reports").joinpath(name).read_text("utf-8")


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
