"""How blocks and marks are read."""

from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, Block, Fate, Mark, read

PAGE = """# Page

<!-- run by: tests/one.py -->

```python
one
```

<!-- not run: needs a GPU -->
```python
two
```

- In a list:

  <!-- run by: tests/three.py -->
  ```sh
  three
  ```

=== "A tab"

    ```toml title="four.toml"
    four = 4
    ```

```text
<!-- not run: only shown -->
```

<!-- not run: far away -->
"""


def block(language: str, mark: Mark | None = None) -> Block:
    return Block(path=ROOT / "README.md", line=1, language=language, text="", mark=mark)


def test_blocks_of_a_page_have_their_line_and_the_mark_above_them_or_the_page_s(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text(PAGE)
    page = read(path)
    found = [(each.line, each.language, each.text, each.mark and each.mark.text) for each in page.blocks]
    assert found == [
        (5, "python", "one\n", "tests/one.py"),
        (10, "python", "two\n", "needs a GPU"),
        (17, "sh", "three\n", "tests/three.py"),
        (23, "toml", "four = 4\n", None),
        # A mark that a block shows is none.
        (27, "text", "<!-- not run: only shown -->\n", None),
    ]
    assert [mark.text for mark in page.lost] == ["far away"]


@pytest.mark.parametrize("language", ["", "bash", "hcl"])
def test_block_of_another_language_is_an_error_without_a_mark(language: str) -> None:
    with pytest.raises(ValueError, match=r"README\.md:1: the block should be one of sh, console"):
        _ = block(language).fate
    assert block(language, Mark(kind="not run", text="why")).fate is Fate.NOT_RUN
