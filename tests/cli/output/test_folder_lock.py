import threading
from pathlib import Path

import pytest

from adapters_cli.output.folder_lock import LockedError, locked_folder


def test_lock_that_is_held_is_refused_without_waiting(tmp_path: Path) -> None:
    with locked_folder(tmp_path), pytest.raises(LockedError), locked_folder(tmp_path, wait=False):
        pass
    with locked_folder(tmp_path, wait=False):
        pass


def test_lock_that_is_held_is_waited_for(tmp_path: Path) -> None:
    order: list[str] = []

    def second() -> None:
        with locked_folder(tmp_path):
            order.append("second")

    with locked_folder(tmp_path):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.1)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]


def test_locks_of_two_folders_are_apart(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with locked_folder(tmp_path), locked_folder(tmp_path / "other", wait=False):
        pass


def test_folder_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), locked_folder(tmp_path / "none"):
        pass
