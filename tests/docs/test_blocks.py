"""How blocks and marks are read."""

from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, Block, Fate, Mark, Page, blocks_of, read

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
"""


@pytest.fixture
def page(tmp_path: Path) -> Page:
    path = tmp_path / "page.md"
    path.write_text(PAGE)
    return read(path)


def block(language: str, mark: Mark | None = None) -> Block:
    return Block(path=ROOT / "README.md", line=1, language=language, text="", mark=mark)


def test_blocks_in_lists_and_tabs_are_found_without_their_indentation(page: Page) -> None:
    assert [(each.language, each.text) for each in page.blocks][:4] == [
        ("python", "one\n"),
        ("python", "two\n"),
        ("sh", "three\n"),
        ("toml", "four = 4\n"),
    ]


def test_block_knows_the_line_of_its_fence(page: Page) -> None:
    lines = PAGE.splitlines()
    assert all(lines[each.line - 1].lstrip().startswith("```" + each.language) for each in page.blocks)


def test_mark_holds_for_the_block_below_it_or_for_commands_and_python_of_the_page(page: Page) -> None:
    assert [each.mark and each.mark.text for each in page.blocks] == [
        "tests/one.py",
        "needs a GPU",
        "tests/three.py",
        None,
        None,
    ]


def test_mark_that_a_block_shows_is_none(page: Page) -> None:
    assert "only shown" not in {mark.text for mark in page.marks}
    assert page.lost == ()


def test_reason_that_is_on_no_block_is_found(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text("<!-- not run: far away -->\n\n```sh\ntrue\n```\n")
    assert [mark.text for mark in read(path).lost] == ["far away"]


def test_empty_reason_is_a_mark_without_text() -> None:
    (found,) = blocks_of(ROOT / "README.md", "<!-- not run: -->\n```sh\ntrue\n```\n")
    assert found.mark == Mark(kind="not run", text="")


@pytest.mark.parametrize("language", ["", "bash", "hcl"])
def test_block_of_another_language_is_an_error_without_a_mark(language: str) -> None:
    with pytest.raises(ValueError, match=r"README\.md:1: the block should be one of sh, console"):
        _ = block(language).fate
    assert block(language, Mark(kind="not run", text="why")).fate is Fate.NOT_RUN


def test_commands_that_are_not_run_are_checked() -> None:
    assert block("sh", Mark(kind="not run", text="why")).fate is Fate.CHECKED
