from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from typing import Any

import httpx


def test_download_url_of_a_function_is_signed(
    function: Callable[[str], str], client: Callable[..., Any]
) -> None:
    arn = function("def handler(event, context): ...")
    url = client("lambda").get_function(FunctionName=arn)["Code"]["Location"]
    with zipfile.ZipFile(io.BytesIO(httpx.get(url).raise_for_status().content)) as archive:
        assert archive.namelist() == ["index.py"]
    for other in (url.partition("?")[0], url[:-1] + ("0" if url[-1] != "0" else "1")):
        assert httpx.get(other).status_code == 401


def test_download_url_of_a_layer_is_signed(client: Callable[..., Any]) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("python/module.py", "")
    published = client("lambda").publish_layer_version(
        LayerName="layer", Content={"ZipFile": buffer.getvalue()}
    )
    url = published["Content"]["Location"]
    assert httpx.get(url).raise_for_status().content == buffer.getvalue()
    assert httpx.get(url.partition("?")[0]).status_code == 401
