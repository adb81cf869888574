"""The table of the container protocol, sent to a real vLLM.

The vLLM dialect of the NumPy server is what vLLM itself answers, row by row. In the LMI dialect, vLLM reads
requests for texts as LMI does. Its errors and its answers to registrations stay its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.guides import table
from tests.local.model_server.protocol_table import ROWS, Answer, Row, check, make_places, prepare, send
from tests.vllm.copies import running
from tests.vllm.record import PROTOCOL

pytestmark = pytest.mark.vllm

LORA = {"ENABLE_LORA": "true", "MAX_LORAS": "4", "MAX_CPU_LORAS": "16", "MAX_LORA_RANK": "8"}
TEXTS = [row for row in ROWS if row.lmi.text is not None and row.lmi != row.vllm]
"""Rows that vLLM answers as LMI does with the middleware, and otherwise without it."""


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return make_places(tmp_path_factory.mktemp("places")) | {"served": "lmi"}


@pytest.fixture(scope="module")
def as_image(folder: Path) -> Iterator[httpx.Client]:
    """VLLM as AWS's vLLM image starts it."""
    environment = {f"SM_VLLM_{name}": value for name, value in LORA.items()}
    loading = {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "true"}
    with running("vllm", folder, environment | loading, dialect="vllm") as copy:
        yield copy.http


@pytest.fixture(scope="module")
def as_lmi(folder: Path, as_image: httpx.Client) -> Iterator[httpx.Client]:
    """VLLM in the place of LMI."""
    environment = {f"OPTION_{name}": value for name, value in LORA.items()}
    with running("vllm", folder, environment, dialect="lmi") as copy:
        yield copy.http


@pytest.fixture(scope="module")
def rows() -> dict[str, tuple[str, str]]:
    """The rows of the table: what the NumPy server is tested to answer, and what vLLM answered."""
    return {}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_vllm_answers_what_the_table_says(
    as_image: httpx.Client,
    words: dict[str, str],
    row: Row,
    rows: dict[str, tuple[str, str]],
    tables: dict[str, str],
) -> None:
    prepare(as_image)
    response = send(as_image, row, words)
    check(response, row.vllm)
    rows[row.name] = (shown(row.lmi), shown(row.vllm))
    head = ["request", "NumPy server as LMI", "NumPy server as vLLM, and vLLM"]
    tables[PROTOCOL] = table(head, [[name, *answers] for name, answers in rows.items()])


def shown(answer: Answer) -> str:
    return f"{answer.status}" if answer.text is None else f"{answer.status}, answer of {answer.text}"


@pytest.mark.parametrize("row", TEXTS, ids=lambda row: row.name)
def test_vllm_in_the_place_of_lmi_reads_requests_for_texts_as_lmi_does(
    as_lmi: httpx.Client, words: dict[str, str], row: Row
) -> None:
    prepare(as_lmi)
    check(send(as_lmi, row, words), row.lmi)
