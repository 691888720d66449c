"""The words of HTML without its layout; pure. Time and size grow with the length of the HTML, whatever it holds.

No tree is built, so nothing is too deep. In older Pythons the standard library's parser takes quadratic time for markup
without an end, and it reads scripts and comments differently from version to version.

Why: docs/decisions, "Emails are read with regular expressions".
"""

import re
from html import unescape

LINE, BLOCK, PARAGRAPH = "\n", "\v", "\f"
"""Marks in place of tags: a new line, a line of its own, a line of its own between blank ones."""
BLOCKS = (
    "address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details", "dialog", "div", "dl",
    "dt", "fieldset", "figcaption", "figure", "footer", "form", "header", "hr", "html", "legend", "li", "main", "nav",
    "ol", "option", "pre", "section", "summary", "table", "tbody", "tfoot", "thead", "tr", "ul",
)  # fmt: skip
MARKS = {
    "br": LINE,
    "td": " ",
    "th": " ",
    **dict.fromkeys(("p", "h1", "h2", "h3", "h4", "h5", "h6"), PARAGRAPH),
    **dict.fromkeys(BLOCKS, BLOCK),
}
_SPACES = re.compile(r"\s{2,}|[^\S ]")
_GAPS = re.compile(r"[ \n\v\f]{2,}|[\n\v\f]")
_PRE = re.compile(r"<pre[\s>].*?(?:</pre|\Z)", re.IGNORECASE | re.DOTALL)
_SIGNS = re.compile(rf"<(?:!doctype|/[a-z][a-z0-9]*|img|{'|'.join(MARKS)})(?=[\s/>])", re.IGNORECASE)
# The name is not possessive: before 3.11.5, Python then reads on behind it
# (https://github.com/python/cpython/issues/106052).
# As in a browser, what has no end goes on to the end of the text. So each part matches, and none is read twice.
_MARKUP = re.compile(
    r"""
    <!--(?:-?>|.*?(?:--!?>|\Z))
    |<(script|style|title)(?=[\s/>]).*?(?:</\1(?=[\s/>])[^>]*|\Z)>?
    |</?(?P<name>[a-z][a-z0-9]*(?:[:-][a-z0-9]+)*)(?=[\s/>])(?:[^>=]+|=\s*(?:"[^"]*"|'[^']*')?)*+>?
    |<[!?][a-z[][^>]*>?
    """,
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)


def is_html(text: str) -> bool:
    """Return whether a text has tags of HTML, rather than just an address in angle brackets."""
    return _SIGNS.search(text) is not None


def words_of(html: str) -> str:
    """Return the words, with a line for each paragraph or row; a text without tags keeps its lines.

    Angle brackets that are no tag stay: ``<ann@example.com>``.
    """
    if not _MARKUP.search(html):
        return _decoded(html)
    html = _PRE.sub(lambda found: found[0].replace("\n", "\0"), html)
    html = _SPACES.sub(" ", html).replace("\0", LINE)
    text = _MARKUP.sub(lambda found: MARKS.get((found["name"] or "").lower(), ""), html)
    return _GAPS.sub(_gap, _decoded(text).replace("\xa0", " ")).strip()


def _gap(found: re.Match[str]) -> str:
    """Return the separator of two words: a blank, or one or two new lines."""
    marks = found[0].replace(" ", "")
    if PARAGRAPH in marks or marks.count(LINE) + marks.startswith(BLOCK) > 1:
        return "\n\n"
    return "\n" if marks else " "


def _decoded(text: str) -> str:
    """Return a text with its character references resolved."""
    try:
        return unescape(text)
    except ValueError:  # a number of more than 4,300 digits
        return text
