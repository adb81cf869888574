from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from typing import Any

import httpx


def test_download_url_of_a_function_or_a_layer_is_signed(
    function: Callable[[str], str], client: Callable[..., Any]
) -> None:
    arn = function("def handler(event, context): ...")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("python/module.py", "")
    layer = {"LayerName": "layer", "Content": {"ZipFile": buffer.getvalue()}}
    for url, file in (
        (client("lambda").get_function(FunctionName=arn)["Code"]["Location"], "index.py"),
        (client("lambda").publish_layer_version(**layer)["Content"]["Location"], "python/module.py"),
    ):
        with zipfile.ZipFile(io.BytesIO(httpx.get(url).raise_for_status().content)) as archive:
            assert archive.namelist() == [file]
        for other in (url.partition("?")[0], url[:-1] + ("0" if url[-1] != "0" else "1")):
            assert httpx.get(other).status_code == 401
