"""The shell of pages that are one file."""

from html.parser import HTMLParser

from estimator.show import html

BAD = '<script src="//x">'


def test_words_are_never_markup():
    made = "".join(html.page(BAD, "", [html.words(BAD), html.words(BAD, "h2", "pale")]))
    tags = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, _: tags.append(tag)
    parser.feed(made)
    assert "script" not in tags
    assert made.count("&lt;script") == 3


def test_a_page_asks_for_nothing():
    (policy,) = [part for part in html.page("t", "", []) if "Policy" in part]
    assert "default-src 'none'" in policy
    assert "http" not in html.figure('<svg xmlns="http://w3.org/svg"></svg>')


def test_a_table_has_its_heads_apart_from_its_rows():
    heads, row = [html.Cell("a"), html.Cell("b", ("right",))], [html.Cell("1")] * 2
    made = "".join(html.table(heads, [row, row], "sourced"))
    assert made.index("</thead>") < made.index("<td>")
    assert made.count("<tr>") == 3
    assert '<th class="right">b</th>' in made
