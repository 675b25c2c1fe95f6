"""What a page says: its text in any charset, its references, and how far two pages are apart."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.kit.ipv6.site.markup import MAX_LINKS, is_literal, pieces, references
from probes.kit.ipv6.site.text import MAX_TEXT, beyond_itself, decode, distance, visible

# Texts.


@given(st.text(max_size=200), st.text(max_size=200))
def test_a_distance_is_one(one: str, other: str) -> None:
    assert distance(one, one) == 0
    assert distance(one, other) == distance(other, one)
    assert 0 <= distance(one, other) <= 100


@given(
    st.text(alphabet="学校网站首页新闻", min_size=100, max_size=150),
    st.lists(st.uuids(), min_size=3, max_size=3, unique=True),
)
def test_what_changes_at_each_fetch_does_not_count(text: str, nonces: list[UUID]) -> None:
    pages = [f"{text} token {nonce}" for nonce in nonces]
    assert beyond_itself(pages[0], pages[1], pages[2]) <= 10
    assert beyond_itself(pages[0], pages[1], "an altogether different page") > 30


@given(st.binary(max_size=3000), st.text(max_size=60))
def test_any_bytes_are_read(body: bytes, kind: str) -> None:
    text = decode(body, kind)
    found = references(text, "https://www.school.test/a/b")
    assert len(visible(text)) <= MAX_TEXT
    assert all(url.startswith(("http://", "https://")) for url in (*found.links, *found.active, *found.passive))


@pytest.mark.parametrize("digits", ["9" * 5000, "x" + "f" * 70_000])
def test_a_reference_of_thousands_of_digits_is_no_character(digits: str) -> None:
    page = f"<title>a&#{digits};b</title>c&#{digits} &#68;<a href='/e&#{digits};'>"
    found = references(page, "https://www.school.test/")
    assert found.title.startswith("a")
    assert visible(page) == "c\ufffd d"


@given(
    st.lists(st.sampled_from(["<a href='", '"', "'", ">", "<script>", "</script>", "<!--", "<", "&#x110000;", "x "]))
)
def test_any_markup_is_read(parts: list[str]) -> None:
    assert list(pieces("".join(parts))) is not None
    references("".join(parts), "https://www.school.test/")


CHINESE = "银川市第一中学欢迎您 ①"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (CHINESE.encode(), ""),
        (CHINESE.encode("gb18030"), ""),
        (CHINESE.encode("gb18030"), "text/html; charset=GBK"),
        (CHINESE.encode("gb18030"), "text/html; charset=utf-8"),  # a lying header
        (CHINESE.encode(), "text/html; charset=gb2312"),
        (b'<meta http-equiv="Content-Type" content="text/html; charset=gb2312">' + CHINESE.encode("gbk"), ""),
        (b"\xef\xbb\xbf" + CHINESE.encode(), "text/html; charset=gbk"),
        (CHINESE.encode("utf-16"), ""),
        (CHINESE.encode() + b"\n" + CHINESE.encode("gb18030"), ""),  # both in one page
        (CHINESE.encode()[:-1] + b"", "text/html; charset=utf-8"),  # cut in the last character
        (CHINESE.encode(), "text/html; charset=no-such-thing"),
        (CHINESE.encode(), "text/html; charset=zip"),
    ],
)
def test_charsets_as_they_come(body: bytes, kind: str) -> None:
    assert "银川市第一中学欢迎您" in decode(body, kind)


def test_one_text_in_two_charsets_is_one_text() -> None:
    text = "<title>银川市第一中学</title><p>" + "校历、课表与通知公告。" * 50 + "</p>"
    old = visible(decode(text.encode("gb18030"), "text/html; charset=gb2312"))
    mixed = visible(decode(text.encode().replace("校历".encode(), "校历".encode("gbk"), 1), "text/html"))
    assert distance(old, visible(decode(text.encode(), "text/html"))) == 0
    assert distance(old, mixed) < 10


def test_what_a_reader_does_not_see_is_no_text() -> None:
    hidden = "<title>T</title><script>var a='<b>no</b>'</script><style>p{}</style><!-- no --><noscript>no</noscript>"
    assert visible(f"<p>Ａ&amp;B{hidden}\n <b>C</b></p> 1 < 2") == "a&b c 1 < 2"


def test_a_page_without_ends_takes_linear_time() -> None:
    # Each of these made parsers go back to the start again and again.
    for part in ("<!--", "<a ", '<a "', "<script>", "</script", "<![CDATA[", "<a b='"):
        assert list(pieces(part * 100_000)) is not None
    many = "".join(f"<a href='/{number}'>x</a>" for number in range(3 * MAX_LINKS))
    assert len(references(many, "https://a.test/").links) == MAX_LINKS


# Markup.

PAGE = """<html><head><TITLE> The &amp; school </TITLE><base href="/sub/">
<link rel="stylesheet" href="//cdn.test/a.css"><script src='https://js.test/x.js'></script>
<style>@import url("http://css.test/b.css");</style></head>
<body><a href="one.html#top">1</a><A HREF=two.html>2</A><a href="javascript:void(0)">no</a><a href="mailto:a@b">no</a>
<img src="http://198.18.1.2/logo.png" srcset="s.png 1x, l.png 2x"><a href="http://[bad">no</a>
<script>var api = "http:\\/\\/198.18.9.9\\/api"; var version = "1.2.3.4";</script></body></html>"""


def test_references_are_absolute_and_sorted_by_what_they_are_for() -> None:
    found = references(PAGE, "https://www.school.test/index.html")
    assert found.title == "The & school"
    assert found.links == ("https://www.school.test/sub/one.html", "https://www.school.test/sub/two.html")
    assert found.active == ("https://cdn.test/a.css", "https://js.test/x.js", "http://css.test/b.css")
    assert "https://www.school.test/sub/l.png" in found.passive
    assert found.literals == ("http://198.18.1.2/logo.png", r"http:\/\/198.18.9.9 (script)")


def test_a_version_number_is_no_address() -> None:
    assert references("<p>1.2.3.4</p><a href='/v/1.2.3.4'>x</a>", "https://a.test/").literals == ()
    assert is_literal("http://10.0.0.1:8080/x")
    assert not is_literal("http://10.0.0.1.test/")
