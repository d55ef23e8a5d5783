import pytest

from space.markup import blocks, inline

EVIL = '<img src=x onerror=alert(1)><script>x</script> ${alert(1)} {{x}} & "q"'


@pytest.mark.parametrize(
    "text",
    [
        EVIL,
        f"# {EVIL}",
        f"- {EVIL}",
        f"1. {EVIL}",
        f"| {EVIL} |\n|---|\n| {EVIL} |",
        f"```\n{EVIL}\n```",
        f"`{EVIL}`",
        f"**{EVIL}**",
        f"[{EVIL}](https://a.b)",
        '[a](https://a.b/"onmouseover="alert(1))',
        "[a](javascript:alert(1))",
        "[a](data:text/html,<script>x</script>)",
    ],
)
def test_nothing_of_a_text_becomes_live(text):
    html = blocks(text, links=True)
    assert "<img" not in html and "<script" not in html
    assert '"onmouseover' not in html and 'href="javascript' not in html and 'href="data' not in html


def test_links_are_made_only_on_request_and_only_to_the_web():
    text = "see [the paper](https://arxiv.org/abs/1?a=1&b=2) and [x](file:///etc/passwd)"
    assert "<a " not in inline(text)
    assert inline(text, links=True) == (
        'see <a href="https://arxiv.org/abs/1?a=1&amp;b=2" target="_blank" rel="noopener noreferrer">the paper</a> '
        "and [x](file:///etc/passwd)"
    )


def test_blocks_in_their_order():
    html = blocks("# A\nsome\ntext\n- one\n  more\n- two\n\n1. first\n```\nx < **y**\n\nz\n```\n## B\nend")
    assert html == (
        "<h2>A</h2><p>some text</p><ul><li>one more</li><li>two</li></ul><ol><li>first</li></ol>"
        '<pre class="scroll" tabindex="0"><code>x &lt; **y**\n\nz</code></pre><h3>B</h3><p>end</p>'
    )


def test_a_table_keeps_its_cells_and_its_escaped_bars():
    html = blocks("| a | b \\| c |\n|:--|--:|\n| `x|y` | **1** |")
    assert html.count("<tr>") == 2 and '<th scope="col">b | c</th>' in html and "<strong>1</strong>" in html
    assert "--" not in html


def test_code_is_not_marked_up_and_headings_have_bounds():
    assert inline("`**a** <b>` **c**") == "<code>**a** &lt;b&gt;</code> <strong>c</strong>"
    assert blocks("###### deep", top=3) == "<h6>deep</h6>"
    assert blocks("#hash") == "<p>#hash</p>" and blocks("") == ""
