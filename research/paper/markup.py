"""A page of HTML that needs no other file: typography, tables, figures, a table of contents."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from string import Template

__all__ = ["Section", "bullets", "figure", "grid", "page", "paragraphs", "table"]


@dataclass(frozen=True)
class Section:
    """A part of a page, with an entry in its table of contents.

    Attributes:
        title: plain text.
        body: HTML.
    """

    title: str
    body: str

    @property
    def anchor(self) -> str:
        """Its place in the page."""
        words = "".join(letter if letter.isalnum() else " " for letter in self.title.lower())
        return "-".join(words.split())


def page(title: str, lead: str, sections: Sequence[Section]) -> str:
    """Returns a whole page.

    Args:
        title: plain text.
        lead: HTML, under the title.
        sections: in order.
    """
    contents = "".join(f'<li><a href="#{s.anchor}">{escape(s.title)}</a></li>' for s in sections)
    bodies = "".join(
        f'<section id="{s.anchor}">\n<h2>{escape(s.title)}</h2>\n{s.body}</section>\n' for s in sections
    )
    return _PAGE.substitute(title=escape(title), style=_STYLE, lead=lead, contents=contents, sections=bodies)


def paragraphs(*texts: str) -> str:
    """Paragraphs of HTML."""
    return "".join(f"<p>{text}</p>\n" for text in texts)


def bullets(items: Iterable[str]) -> str:
    """A list of HTML."""
    return "<ul>" + "".join(f"<li>{item}</li>\n" for item in items) + "</ul>\n"


def table(
    caption: str,
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    name: str | None = None,
    labels: int = 1,
) -> str:
    """A table; text is escaped.

    Args:
        caption: what it shows.
        head: names of the columns.
        rows: cells as text.
        name: for readers of the page that are programs.
        labels: first columns that are words; the others are numbers.
    """
    columns = "".join(f"<th{_number(n, labels)}>{escape(text)}</th>" for n, text in enumerate(head))
    lines = "".join(
        "<tr>"
        + "".join(f"<td{_number(n, labels)}>{escape(cell)}</td>" for n, cell in enumerate(row))
        + "</tr>\n"
        for row in rows
    )
    attribute = "" if name is None else f' id="table-{name}"'
    return (
        f'<div class="scroll"><table{attribute}><caption>{escape(caption)}</caption>'
        f"<thead><tr>{columns}</tr></thead>\n<tbody>\n{lines}</tbody></table></div>\n"
    )


def figure(drawing: str, caption: str, *, name: str) -> str:
    """A figure: an `<svg>` element over its caption (HTML)."""
    return f'<figure id="{name}">{drawing}<figcaption>{caption}</figcaption></figure>\n'


def grid(*figures: str) -> str:
    """Figures side by side where there is room."""
    return f'<div class="grid">{"".join(figures)}</div>\n'


def _number(column: int, labels: int) -> str:
    return "" if column < labels else ' class="number"'


_STYLE = """
:root { color-scheme: light dark; --ground: #fdfdfb; --ink: #1f2328; --soft: #5b626c; --line: #dfe1dc;
  --accent: #0a5c9c; --wash: #f3f4ef; }
@media (prefers-color-scheme: dark) { :root { --ground: #16181b; --ink: #e4e6e8; --soft: #a0a7b0;
  --line: #33383e; --accent: #6cb6ef; --wash: #1e2125; } }
* { box-sizing: border-box; }
html { scroll-behavior: smooth; scroll-padding-top: 1rem; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 17px/1.6 Charter, "Bitstream Charter", "Iowan Old Style", Georgia, serif; }
.frame { display: grid; grid-template-columns: 15rem minmax(0, 60rem); grid-template-rows: auto 1fr;
  column-gap: 3rem; max-width: 82rem; margin: 0 auto; padding: 3rem 1.5rem 6rem; }
header, main { grid-column: 2; }
nav { grid-column: 1; grid-row: 1 / span 2; position: sticky; top: 2rem;
  align-self: start; font: 14px/1.45 system-ui, sans-serif; }
nav ol { list-style: none; margin: 0; padding: 0; border-left: 1px solid var(--line); }
nav li { padding: .25rem 0 .25rem 1rem; }
a { color: var(--accent); text-decoration-thickness: 1px; text-underline-offset: .15em; }
nav a { text-decoration: none; }
nav a:hover { text-decoration: underline; }
h1 { font-size: 2.1rem; line-height: 1.2; margin: 0 0 1rem; text-wrap: balance; }
h2 { font-size: 1.45rem; line-height: 1.3; margin: 3.5rem 0 .75rem; }
h3 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p, ul, ol { max-width: 42rem; }
li { margin-bottom: .3rem; }
.lead { color: var(--soft); font-size: 1.1rem; }
code { font: .86em/1.4 ui-monospace, "SF Mono", Menlo, Consolas, monospace; background: var(--wash);
  padding: .1em .3em; border-radius: 3px; }
.equation { font-style: italic; margin: .75rem 0 .75rem 1.5rem; }
.scroll { overflow-x: auto; margin: 1.5rem 0; }
table { border-collapse: collapse; font: 14px/1.45 system-ui, sans-serif;
  font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--soft); padding-bottom: .5rem; max-width: 44rem; }
th { text-align: left; font-weight: 600; border-bottom: 1px solid var(--ink); vertical-align: bottom; }
th, td { padding: .3rem 1.1rem .3rem 0; }
td { border-bottom: 1px solid var(--line); }
.number { text-align: right; white-space: nowrap; }
figure { margin: 2rem 0; }
figure svg { width: 100%; height: auto; display: block; }
figure svg text { font-family: system-ui, sans-serif !important; fill: currentColor; }
figcaption { font: 14px/1.45 system-ui, sans-serif; color: var(--soft); margin-top: .4rem; max-width: 44rem; }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(26rem, 1fr)); gap: 0 2rem; }
.grid figure { margin: 1.25rem 0; }
@media (max-width: 60rem) { .frame { display: block; } nav { position: static; margin: 2rem 0; }
  .grid { grid-template-columns: 1fr; } }
@media print { nav { display: none; } .frame { display: block; } figure { break-inside: avoid; } }
"""

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>$style</style>
</head>
<body>
<div class="frame">
<header>
<h1>$title</h1>
<div class="lead">$lead</div>
</header>
<nav aria-label="Contents"><ol>$contents</ol></nav>
<main>
$sections
</main>
</div>
</body>
</html>
""")
