"""How does a report become one page that a person can open anywhere? A file of HTML that needs nothing outside itself.

``Html`` is text that is markup already; whatever else is put into an element is escaped. Plots are inline SVG without
words of others in them, in colours that the page's style sheet names, so that they follow the reader's colour scheme.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from io import StringIO
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from trimtab.checkpoints import replace_file

DASH = "–"
"""What stands in a cell that has no value."""

COLOURS = {
    "ink": ("#1b1f24", "#e6e8eb"),
    "faint": ("#d5d9de", "#3a4048"),
    "muted": ("#59616b", "#a3abb5"),
    "card": ("#f6f7f9", "#1d2126"),
    "paper": ("#ffffff", "#14171a"),
    "good": ("#00734f", "#3ed3a2"),
    "fair": ("#8a5a00", "#f2b53a"),
    "bad": ("#b3400a", "#ff9557"),
    # series, after Okabe and Ito: told apart by the colour-blind, darker on paper and lighter on black
    "s0": ("#0069a8", "#5ab4f0"),
    "s1": ("#c94f00", "#ff9043"),
    "s2": ("#008a63", "#35cfa0"),
    "s3": ("#b0558a", "#eb9fcb"),
    "s4": ("#a87900", "#f0cf4a"),
    "s5": ("#6b7380", "#a8b0bb"),
    "pale": ("#b5d3e6", "#23465c"),
}
"""Name -> its colour on a light page, and on a dark one."""

PAINT = {name: f"#0a0b{number:02x}" for number, name in enumerate(COLOURS)}
"""What plots paint with: stand-ins that ``draw`` exchanges for the style sheet's colours."""

SERIES = tuple(name for name in COLOURS if re.fullmatch(r"s\d", name))
MARKERS = {"o": "●", "^": "▲", "s": "■", "D": "◆", "v": "▼", "P": "✚"}
"""Matplotlib's markers and the characters that stand for them in a legend."""

_PLOT: dict[str, Any] = {
    "svg.fonttype": "path",
    "text.parse_math": False,
    "font.size": 10,
    "axes.labelsize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.linewidth": 0.6,
    "grid.color": PAINT["faint"],
    "axes.edgecolor": PAINT["muted"],
    "text.color": PAINT["ink"],
    "axes.labelcolor": PAINT["ink"],
    "xtick.color": PAINT["muted"],
    "ytick.color": PAINT["muted"],
    "xtick.labelcolor": PAINT["ink"],
    "ytick.labelcolor": PAINT["ink"],
    "figure.constrained_layout.use": True,
}

_STYLE = """
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:60rem;margin:0 auto;padding:1rem 1rem 4rem}
h1{font-size:1.6rem;line-height:1.2;margin:1rem 0 .25rem}
h2{font-size:1.2rem;margin:2.5rem 0 .5rem;padding-top:.75rem;border-top:1px solid var(--faint)}
h3{font-size:1rem;margin:1.75rem 0 .25rem}
p,dl,ul{margin:.5rem 0;max-width:46rem}
.muted,figcaption,dd{color:var(--muted)}
.verdict{background:var(--card);border-left:.4rem solid var(--muted);border-radius:.25rem;padding:.75rem 1rem;margin:1rem 0}
.verdict p{margin:.25rem 0}
.verdict strong{font-size:1.1rem}
.good{color:var(--good)}.fair{color:var(--fair)}.bad{color:var(--bad)}
.verdict.good,.verdict.fair,.verdict.bad{color:inherit}
.verdict.good{border-color:var(--good)}.verdict.fair{border-color:var(--fair)}.verdict.bad{border-color:var(--bad)}
.scroll{overflow-x:auto;margin:.75rem 0}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}
th,td{padding:.35rem .75rem .35rem 0;text-align:left;vertical-align:top;border-bottom:1px solid var(--faint)}
thead th{vertical-align:bottom;color:var(--muted);font-weight:600}
tbody th{font-weight:600;min-width:8.5rem}
.number{text-align:right}td.number{white-space:nowrap}
.tag{font-weight:400;font-size:.75rem;color:var(--muted);border:1px solid var(--faint);border-radius:.6rem;padding:0 .4rem}
tr.aside td,tr.aside th{color:var(--muted);font-weight:400}
tr.chosen th,tr.chosen td{background:var(--card)}
dl{font-size:.9rem;display:grid;column-gap:1rem;grid-template-columns:1fr;max-width:54rem}
dt{font-weight:600;margin-top:.4rem}dd{margin:0}
@media(min-width:48rem){dl{grid-template-columns:fit-content(16rem) 1fr;row-gap:.35rem}dt{margin:0}}
.figures{display:grid;gap:1.5rem;grid-template-columns:repeat(auto-fit,minmax(min(100%,22rem),1fr))}
.figures.small{grid-template-columns:repeat(auto-fit,minmax(min(100%,17rem),1fr))}
figure{margin:.75rem 0;max-width:34rem;min-width:0}
figure svg{width:100%;height:auto;display:block}
figure svg *{stroke-linejoin:round;stroke-linecap:butt}
figcaption{font-size:.9rem}figcaption b{color:var(--ink)}
.keys{display:flex;flex-wrap:wrap;column-gap:1rem;font-size:.9rem}
"""


class Html(str):
    """Text that is markup already, and is not escaped again."""

    __slots__ = ()


def html(value: object) -> Html:
    """``value`` as markup: text is escaped, markup is left alone."""
    return value if isinstance(value, Html) else Html(escape(str(value)))


def join(parts: Iterable[object], between: str = "") -> Html:
    """The parts one after another, each escaped unless it is markup."""
    return Html(between.join(html(part) for part in parts))


def element(name: str, *children: object, **attributes: object) -> Html:
    """``<name ...>children</name>``. Attributes: ``class_`` for class, ``aria_label`` for aria-label, None for none."""
    named = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items() if value is not None}
    given = "".join(f' {key}="{escape(str(value))}"' for key, value in named.items())
    return Html(f"<{name}{given}>{join(children)}</{name}>")


def paragraph(*children: object, class_: str | None = None) -> Html:
    """A paragraph."""
    return element("p", *children, class_=class_)


def section(title: str, *children: object) -> Html:
    """A part of the page under its heading."""
    return element("section", element("h2", title), *children)


def table(
    columns: Sequence[object],
    rows: Iterable[Sequence[object]],
    *,
    words: Sequence[int] = (0,),
    classes: Sequence[str | None] | None = None,
) -> Html:
    """A table that scrolls sideways on a narrow screen; each row's first cell is its heading.

    ``words``: the columns that hold text; the others hold numbers, set to the right. ``classes``: one per row.
    """
    align = [None if index in words else "number" for index in range(len(columns))]
    titles = (element("th", cell, class_=side, scope="col") for cell, side in zip(columns, align, strict=True))
    body = [
        [
            element("th", cell, scope="row") if index == 0 else element("td", cell, class_=align[index])
            for index, cell in enumerate(row)
        ]
        for row in rows
    ]
    named = [None] * len(body) if classes is None else classes
    lines = [element("tr", *cells, class_=name) for cells, name in zip(body, named, strict=True)]
    made = element("table", element("thead", element("tr", *titles)), element("tbody", *lines))
    return element("div", made, class_="scroll", tabindex="0")


def explained(terms: Mapping[str, object]) -> Html:
    """Terms and what they mean."""
    return element("dl", *(join((element("dt", term), element("dd", meaning))) for term, meaning in terms.items()))


def legend(entries: Sequence[tuple[str, str, object]]) -> Html:
    """A plot's legend: (colour's name, sign, label) each. It is text, so that any script can be read."""
    signs = (element("span", _sign(colour, sign), " ", label) for colour, sign, label in entries)
    return element("div", *signs, class_="keys")


def _sign(colour: str, sign: str) -> Html:
    return element("span", sign, style=f"color:var(--{colour})", aria_hidden="true")


def figure(plot: Html, caption: object, key: Html | None = None) -> Html:
    """A plot with its legend and the sentence that says what it shows."""
    return element("figure", key or Html(), plot, element("figcaption", caption))


def figures(made: Iterable[Html], *, small: bool = False) -> Html:
    """Figures side by side (two, or three ``small`` ones), or below one another where the screen is narrow."""
    return element("div", *made, class_="figures small" if small else "figures")


# -- numbers as people read them ---------------------------------------------------------------------------------------


def percent(share: float | None, decimals: int = 0) -> str:
    """A share in percent, ``DASH`` for None. What is not quite all is never rounded to 100 %."""
    if share is None:
        return DASH
    text, whole = f"{100 * share:.{decimals}f}", f"{100:.{decimals}f}"
    return ("<" if text == whole and share < 1 else "") + text.replace("-", "−") + "\N{NO-BREAK SPACE}%"


def times(ratio: float) -> str:
    """A ratio, as in 1.234×."""
    return f"{ratio:.3f}×"


# -- plots -------------------------------------------------------------------------------------------------------------


def draw(name: str, title: str, paint: Callable[[Figure], None], *, inches: tuple[float, float] = (5.0, 3.2)) -> Html:
    """Inline SVG of what ``paint`` puts on a figure, in the colours of ``PAINT``.

    ``name`` keeps this plot's identifiers apart from those of others on the page; ``title`` says to those who cannot
    see it what it shows.
    """
    settings: Any = {**_PLOT, "svg.hashsalt": name}
    with rc_context(rc=settings):
        canvas = Figure(figsize=inches)
        canvas.patch.set_alpha(0)
        paint(canvas)
        for axes in canvas.axes:
            axes.patch.set_alpha(0)
        written = StringIO()
        canvas.savefig(written, format="svg", metadata={"Date": None})
    return _inline(written.getvalue(), name, title)


def _inline(svg: str, name: str, title: str) -> Html:
    """A whole SVG document as an element of a page: small, with identifiers of its own and the page's colours."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\s(?:xmlns(?::\w+)?|version|width|height)="[^"]*"(?=[^>]*viewBox)', "", svg)
    svg = re.sub(r'\sxmlns(?::\w+)?="[^"]*"', "", svg).replace("xlink:href", "href")
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg))
    svg = re.sub(r'\sid="([^"]*)"', lambda found: f' id="{name}-{found[1]}"' if found[1] in used else "", svg)
    svg = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r'\sd="[^"]*"', lambda found: re.sub(r"\d+\.\d+", _short, found[0]), svg)
    for colour, painted in PAINT.items():
        svg = svg.replace(painted, f"var(--{colour})")
    svg = re.sub(r"\s*\n\s*", " ", svg).replace("> <", "><")
    return Html(svg.replace("<svg", f'<svg role="img" aria-label="{escape(title)}"', 1).strip())


def _short(decimal: re.Match[str]) -> str:
    """A coordinate in hundredths of a point."""
    return f"{float(decimal[0]):.2f}".rstrip("0").rstrip(".")


# -- the page ----------------------------------------------------------------------------------------------------------


def _palette(column: int) -> str:
    return ":root{" + "".join(f"--{name}:{both[column]};" for name, both in COLOURS.items()) + "}"


def page(title: str, *children: object) -> Html:
    """A whole document: readable on a phone, in light and dark, without a script or anything from elsewhere."""
    style = f":root{{color-scheme:light dark}}{_palette(0)}@media(prefers-color-scheme:dark){{{_palette(1)}}}{_STYLE}"
    head = Html(
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"{element('title', title)}<style>{style}</style>"
    )
    body = element("main", element("h1", title), *children)
    return Html(f"<!doctype html>\n{element('html', element('head', head), element('body', body), lang='en')}\n")


def write_page(path: Path, content: Html) -> Path:
    """Write the page, atomically, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, lambda scratch: scratch.write_text(content, encoding="utf-8"))
    return path
