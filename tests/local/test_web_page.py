"""What a web page of another port can do to the embedded cloud in a real browser: nothing."""

import http.server
import json
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from local_sagemaker.server import LocalCloud
from tests.chromium import chromium, needs_chromium
from tests.local.conftest import Client

pytestmark = needs_chromium

REBOUND = "rebound.example"

# Each attempt is a request that a browser sends without asking first, or that the cloud would have to allow.
# `fetch` resolves as soon as there is an answer, whatever it is, and rejects what it may not read.
PAGE = """<!doctype html><body><script>
const post = (url, type, body) =>
    fetch(url, {method: "POST", mode: "no-cors", headers: {"Content-Type": type}, body});
const user = new URLSearchParams({Action: "CreateUser", UserName: "page", Version: "2010-05-08"});
const seen = element => new Promise(resolve => {
    element.onload = () => resolve("loaded"); element.onerror = () => resolve("refused");
    document.body.append(element);
});
const attempts = {
    "function": cloud => post(cloud + "/2015-03-31/functions", "text/plain", JSON.stringify(FUNCTION)),
    "fault": cloud => post(cloud + "/_local/faults", "text/plain", JSON.stringify(FAULT)),
    "reset": cloud => post(cloud + "/_ministack/reset", "text/plain", ""),
    "query": cloud => post(cloud, "application/x-www-form-urlencoded", user.toString()),
    "link": cloud => fetch(cloud + "/?" + user, {mode: "no-cors"}),
    "image": cloud => seen(Object.assign(new Image(), {src: cloud + "/?" + user})),
    "form": cloud => {
        const frame = document.createElement("iframe"); frame.name = "target-" + Math.random();
        const form = document.createElement("form");
        Object.assign(form, {method: "POST", action: cloud + "/", target: frame.name});
        for (const [name, value] of user)
            form.append(Object.assign(document.createElement("input"), {name, value}));
        document.body.append(form);
        const done = seen(frame); form.submit(); return done;
    },
    "bucket": cloud => fetch(cloud + "/page-bucket", {method: "PUT"}),
    "list": cloud => fetch(cloud + "/").then(answer => answer.text()),
    "settings": cloud => fetch(cloud + "/_local/settings", {method: "PATCH", body: "{}"}),
};
(async () => {
    const results = {};
    for (const cloud of CLOUDS)
        for (const [name, attempt] of Object.entries(attempts))
            results[name + " " + cloud] = await attempt(cloud).then(
                answer => answer.type || "done", error => "rejected");
    window.results = results;
})();
</script>"""

FUNCTION = {
    "FunctionName": "page",
    "Runtime": "python3.12",
    "Role": "arn:aws:iam::000000000000:role/page",
    "Handler": "index.handler",
    # An empty zip archive.
    "Code": {"ZipFile": "UEsFBgAAAAAAAAAAAAAAAAAAAAAAAA=="},
}
FAULT = {"operation": "ListModels", "code": "ThrottlingException", "times": None}


@pytest.fixture
def page(cloud: LocalCloud, tmp_path: Path) -> Iterator[str]:
    """The address of the page: another port of this machine."""
    port = cloud.url.rpartition(":")[2]
    clouds = [f"http://{host}:{port}" for host in ("127.0.0.1", "localhost", REBOUND)]
    values = {"CLOUDS": clouds, "FUNCTION": FUNCTION, "FAULT": FAULT}
    constants = "".join(f"const {name} = {json.dumps(value)};" for name, value in values.items())
    (tmp_path / "index.html").write_text(PAGE.replace("<script>", f"<script>{constants}", 1))
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{site.server_port}/"
        site.shutdown()


def test_page_of_another_port_creates_nothing(
    page: str, cloud: LocalCloud, client: Client, tmp_path: Path
) -> None:
    client("s3").create_bucket(Bucket="before-the-page")
    before = cloud.admin.settings()
    with chromium(tmp_path / "profile", f"--host-resolver-rules=MAP {REBOUND} 127.0.0.1") as browser:
        browser.open(page, width=1280)
        results = browser.wait_for("window.results")
    assert "page" not in {
        function["FunctionName"] for function in client("lambda").list_functions()["Functions"]
    }
    assert "page" not in {user["UserName"] for user in client("iam").list_users()["Users"]}
    buckets = {bucket["Name"] for bucket in client("s3").list_buckets()["Buckets"]}
    assert "before-the-page" in buckets
    assert "page-bucket" not in buckets
    client("sagemaker").list_models()  # it would be throttled
    assert cloud.admin.settings() == before
    # The requests went out: these are answered, with what the page may not see.
    assert {ended for name, ended in results.items() if name.startswith("function ")} == {"opaque"}
    assert {
        ended for name, ended in results.items() if name.startswith(("bucket ", "list ", "settings "))
    } == {"rejected"}
    client("s3").delete_bucket(Bucket="before-the-page")
