"""The words of HTML, whatever it is."""

import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.transform.html_text import is_html, words_of

SIZE = 200_000
"""Characters of the largest texts."""


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<p>Hello</p><p>World</p>", "Hello\n\nWorld"),
        ("<P class=x>Hello<P>World", "Hello\n\nWorld"),
        ("<div>a</div><div>b</div>", "a\nb"),
        ("<div>a<br></div><div>b</div>", "a\nb"),
        ("<div>a</div><div><br></div><div>b</div>", "a\n\nb"),
        ("a<br>b<br/>c<br><br><br>d", "a\nb\nc\n\nd"),
        ("<p>Hel<b>lo</b>\n  <i>World</i></p>", "Hello World"),
        ("<ul><li>one<li>two</ul>", "one\ntwo"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c<td>d</table>", "a b\nc d"),
        ("<pre>a\n  b\r\nc</pre> d\ne", "a\nb\nc\nd e"),
        ("<p>Tom &amp; Ann&nbsp;&lt;b&gt; &eacute;&#233;&#xe9;</p>", "Tom & Ann <b> \xe9\xe9\xe9"),
        ("<p>a&#0;b</p>", "a\ufffdb"),
        ("<html><head><title>T</title><meta x><style>p {a: 'b>'}</style></head><body>x</body></html>", "x"),
        ("<script>if (a < b) document.write('<p>no</p>')</script>yes", "yes"),
        ("<!DOCTYPE html><!-- no > --><?xml no?><!-->yes", "yes"),
        ("<!--[if mso]><p>no</p><![endif]--><!--[if !mso]><!--><p>yes</p><!--<![endif]-->", "yes"),
        ("<![if !mso]>yes<![endif]><o:p>&nbsp;</o:p>", "yes"),
        ("<a title='a > b' href=\"<p>\">link</a><x-y>z</x-y>", "linkz"),
        ("<p>write to <ann@example.com> or <https://example.com/x>, 1 < 2 <3</p>", None),
        ("<p>bro<ken", "bro<ken"),
        ("<p>no end <a href='x", "no end"),
        ("<p>it's</p><a title=it's>5\" and 6\"</a>", 'it\'s\n\n5" and 6"'),
    ],
)
def test_words_are_told_from_tags(html: str, expected: str | None) -> None:
    assert words_of(html) == (expected or html.removeprefix("<p>").removesuffix("</p>"))


def test_a_text_without_tags_keeps_its_lines() -> None:
    assert words_of("Tom &amp; Ann\n  <ann@example.com>\n") == "Tom & Ann\n  <ann@example.com>\n"


@pytest.mark.parametrize("levels", [260, 100_000])
@pytest.mark.parametrize("tag", ["div", "blockquote", "b", "table"])
def test_no_depth_loses_words(tag: str, levels: int) -> None:
    html = "<p>top</p>" + f"<{tag}>" * levels + "<p>sign by Friday</p>"
    assert words_of(html).split() == ["top", "sign", "by", "Friday"]


@pytest.mark.parametrize("style", ["padding-left:100000em", f"padding-left:{'9' * 400}em"])
def test_layout_is_ignored(style: str) -> None:
    assert words_of(f'<div style="{style}">' * 50 + "x") == "x"


HOSTILE = (
    "<", "<a ", "<a href=", '<a href="', "<a href='\">", "</", "<!", "<!--", "<!-", "-->", "<style>", "<style></style",
    "</style", "<title", "<![", "<a-", "<a:a", "<pre>", "\n", "<b> </b> ", "<p>", "<br>x", "&", "&amp", "&#", "= ", " ",
)  # fmt: skip


@pytest.mark.parametrize("start", ["<p>", "<p ", "<pre>", "<p>&#", "<p>&#x"])
@pytest.mark.parametrize("part", [*HOSTILE, "9"])
def test_twice_the_html_takes_about_twice_the_time_and_no_more_memory_than_it_is_large(start: str, part: str) -> None:
    def seconds(length: int) -> float:
        html = start + part * (length // len(part))
        began = time.process_time()
        assert len(words_of(html)) <= len(html)
        return time.process_time() - began

    # Quadratic time would be 64 times as long.
    assert seconds(SIZE) < 24 * seconds(SIZE // 8) + 0.2
    tracemalloc.start()
    words_of(start + part * (SIZE // 8 // len(part)))
    assert tracemalloc.get_traced_memory()[1] < 4 * SIZE
    tracemalloc.stop()


@given(st.lists(st.sampled_from(HOSTILE) | st.text(max_size=5)).map("".join))
def test_any_text_becomes_words(html: str) -> None:
    assert len(words_of(html)) <= len(html)


@given(st.lists(st.text("abc", min_size=1), min_size=1), st.data())
def test_words_between_tags_are_all_kept(words: list[str], data: st.DataObject) -> None:
    tags = st.sampled_from(["<p>", "</p>", "<br>", "<td>", "<div style='x'>", "</tr>", "<li/>", "<h1 a=b>"])
    html = "".join(data.draw(tags) + word for word in words)
    assert words_of(html).split() == words


@pytest.mark.parametrize("text", ["<p>", "x</b>", "a<br/>b", "<!DOCTYPE html>", "<DIV\nclass=x>", '<img src="x">'])
def test_tags_are_a_sign_of_html(text: str) -> None:
    assert is_html(text)


@pytest.mark.parametrize(
    "text", ["", "Ann <ann@example.com>", "<https://example.com/>", "a < b", "<person>", "</>", "<3"]
)
def test_other_brackets_are_no_sign_of_html(text: str) -> None:
    assert not is_html(text)
