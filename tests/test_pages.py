"""Pages stand alone, are well formed, and let no text become markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from trimtab import pages
from trimtab.pages import Html, element

VOID = {"meta", "br", "hr", "img", "link", "input"}


class _Reader(HTMLParser):
    """Follows opening and closing tags, and keeps ids and text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.seen: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.ids += [value or "" for name, value in attrs if name == "id"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def read(markup: str) -> _Reader:
    """Parse markup; asserts that every element is closed, in order."""
    reader = _Reader()
    reader.feed(markup)
    reader.close()
    assert reader.open == []
    return reader


def stands_alone(markup: str) -> None:
    """Asserts that nothing is fetched from elsewhere, no script runs, and every reference has one target."""
    assert not re.search(r"https?:|//[a-z]|@import|<script|<link|\bsrc=", markup)
    ids = read(markup).ids
    assert len(ids) == len(set(ids))
    referred = re.findall(r'(?:href="|url\()([^")]*)', markup)
    assert all(target.startswith("#") and target[1:] in ids for target in referred)


def plot(canvas: Figure) -> None:
    axes = canvas.subplots()
    axes.plot([0, 1], [0, 1.23456789], "o", color=pages.PAINT["s0"])
    axes.set_xlabel("seconds $x$")


@pytest.mark.parametrize(
    ("given", "expected"), [("<b>&'\"", "&lt;b&gt;&amp;&#x27;&quot;"), (3, "3"), (Html("<i>x</i>"), "<i>x</i>")]
)
def test_text_is_escaped_and_markup_is_not(given: object, expected: str) -> None:
    assert pages.html(given) == expected


def test_attributes_are_escaped_and_may_be_left_out() -> None:
    made = element("p", "a<b", class_='x" onclick="y', aria_label="l", id=None)
    assert made == '<p class="x&quot; onclick=&quot;y" aria-label="l">a&lt;b</p>'


def test_tables_scroll_and_say_what_each_cell_belongs_to() -> None:
    made = pages.table(("name", "n"), [("one <1>", 1)], classes=["chosen"])
    assert '<tr class="chosen"><th scope="row">one &lt;1&gt;</th><td class="number">1</td></tr>' in made
    assert made.startswith('<div class="scroll"')


def test_a_row_of_too_few_classes_is_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        pages.table(("name",), [("one",), ("two",)], classes=["chosen"])


@pytest.mark.parametrize(
    ("share", "decimals", "shown"),
    [(1.0, 0, "100 %"), (0.999, 0, "<100 %"), (-0.81, 0, "−81 %"), (0.01754, 2, "1.75 %"), (None, 1, "–")],
)
def test_shares_are_rounded_but_never_to_all(share: float | None, decimals: int, shown: str) -> None:
    assert pages.percent(share, decimals).replace("\N{NO-BREAK SPACE}", " ") == shown


def test_plots_are_small_and_follow_the_reader() -> None:
    svg = pages.draw("one", 'a "plot"', plot)
    assert svg.startswith('<svg role="img" aria-label="a &quot;plot&quot;"')
    assert "viewBox" in svg[:200]
    assert "var(--s0)" in svg
    assert "var(--ink)" in svg
    assert "#0a0b" not in svg
    assert "<text" not in svg
    assert len(svg) < 30_000


def test_a_page_of_two_plots_stands_alone() -> None:
    drawn = [pages.figure(pages.draw(name, name, plot), "caption") for name in ("one", "two")]
    markup = pages.page("A <title>", pages.section("Plots", pages.figures(drawn)))
    stands_alone(markup)
    assert read(markup).seen.count("svg") == 2
    assert "prefers-color-scheme:dark" in markup
    assert '<meta name="viewport"' in markup


def test_plots_are_the_same_every_time() -> None:
    assert pages.draw("one", "x", plot) == pages.draw("one", "x", plot)


def test_a_page_is_written_whole(tmp_path: Path) -> None:
    path = pages.write_page(tmp_path / "folder" / "page.html", pages.page("τ"))
    assert path.read_text(encoding="utf-8") == pages.page("τ")
    assert [entry.name for entry in path.parent.iterdir()] == ["page.html"]
