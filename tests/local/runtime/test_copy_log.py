from __future__ import annotations

from pathlib import Path

from local_sagemaker.runtime.copy_log import CopyLog


def test_lines_are_read_once_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = CopyLog(path)
    assert log.new_lines() == []
    path.write_text("one\ntw")
    assert log.new_lines() == ["one"]
    path.write_text("one\ntwo\nthr")
    assert log.new_lines() == ["two"]
    assert log.new_lines(whole=True) == ["thr"]
    assert log.new_lines(whole=True) == []


def test_line_longer_than_one_look_is_read_in_parts(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(f"{'x' * 1_500_000}\nnext\n")
    log = CopyLog(path)
    assert [len(line) for line in log.new_lines()] == [1_000_000]
    assert [len(line) for line in log.new_lines()] == [500_000, len("next")]
