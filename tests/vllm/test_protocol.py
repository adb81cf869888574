"""The table of the container protocol, sent to a real vLLM.

The vLLM dialect of the NumPy server is what vLLM itself answers, row by row. In the LMI dialect, vLLM reads
requests for texts as LMI does. Its errors and its answers to registrations stay its own.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.local.model_server.protocol_table import ROWS, Row, check, make_places, prepare, send
from tests.local.model_server.tickets import ADAPTERS
from tests.vllm.copies import running

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


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_vllm_answers_what_the_table_says(as_image: httpx.Client, words: dict[str, str], row: Row) -> None:
    prepare(as_image)
    check(send(as_image, row, words), row.vllm)


def test_vllm_takes_an_adapter_that_is_narrower_than_the_base(as_image: httpx.Client, tmp_path: Path) -> None:
    """The NumPy server refuses it. vLLM copies what there is into the slot, and nothing reports an error."""
    prepare(as_image)
    narrow = tmp_path / "narrow"
    shutil.copytree(ADAPTERS["triage"], narrow)
    weights = narrow / "adapter_model.safetensors"
    tensors = load_file(weights)
    save_file({key: np.ascontiguousarray(cut(key, tensor)) for key, tensor in tensors.items()}, weights)
    registered = as_image.post("/adapters", params={"name": "probe", "src": str(narrow)})
    assert (registered.status_code, registered.text) == (200, "Adapter probe registered")


def cut(key: str, tensor: Any) -> Any:
    """Leave the last input of a module out."""
    return tensor[:, :-1] if "lora_A" in key else tensor


@pytest.mark.parametrize("row", TEXTS, ids=lambda row: row.name)
def test_vllm_in_the_place_of_lmi_reads_requests_for_texts_as_lmi_does(
    as_lmi: httpx.Client, words: dict[str, str], row: Row
) -> None:
    prepare(as_lmi)
    check(send(as_lmi, row, words), row.lmi)
