import json
import os
import re
import signal
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_sagemaker.__main__ import NEEDED, main
from local_sagemaker.server import LocalCloud
from tests.local.conftest import QUICK, ChangeSettings, boto_client
from tests.local.processes import needs_proc, processes_of
from tests.local.stacks import Bucket, Stack, serving, until

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[LocalCloud]:
    """A cloud with a model server, a Lambda worker, and a deployment that will not end."""
    state = tmp_path / "state"
    with LocalCloud(state_dir=state, settings=QUICK) as cloud:
        bucket = Bucket(boto_client(cloud, "s3"))
        stack = Stack(boto_client(cloud, "cloudformation"), "done")
        assert stack.create(serving("done", bucket, {"one": bucket.adapter("1")})) == "CREATE_COMPLETE"
        cloud.admin.change_settings(endpoint_seconds=1_000)
        body = json.dumps({"Resources": serving("endless", bucket, {})})
        boto_client(cloud, "cloudformation").create_stack(StackName="endless", TemplateBody=body)
        until(lambda: cloud.admin.calls().get("CreateEndpoint", 0) > 1)
        yield cloud


@needs_proc
def test_interrupt_leaves_no_process_even_during_a_deployment(busy: LocalCloud, tmp_path: Path) -> None:
    assert len(processes_of(tmp_path)) >= 3
    busy.process.send_signal(signal.SIGINT)
    assert busy.process.wait(15) == 0
    assert processes_of(tmp_path) == []


@needs_proc
def test_death_of_the_command_leaves_no_process(busy: LocalCloud, tmp_path: Path) -> None:
    busy.process.kill()
    until(lambda: processes_of(tmp_path) == [])


@needs_proc
def test_death_of_the_cloud_leaves_no_process(busy: LocalCloud, tmp_path: Path) -> None:
    (gateway,) = [
        int(folder.name)
        for folder in Path("/proc").glob("[0-9]*")
        if os.getsid(int(folder.name)) == int(folder.name)
        and f"{tmp_path}".encode() in (folder / "cmdline").read_bytes()
        and b"local_sagemaker.gateway" in (folder / "cmdline").read_bytes()
    ]
    os.kill(gateway, signal.SIGKILL)
    assert busy.process.wait(15) == 1
    assert processes_of(tmp_path) == []


@needs_proc
def test_death_of_the_process_that_uses_it_leaves_no_process(tmp_path: Path) -> None:
    script = "import sys, time; from pathlib import Path; from local_sagemaker.server import LocalCloud\n"
    script += "with LocalCloud(state_dir=Path(sys.argv[1])): print('up', flush=True); time.sleep(100)"
    user = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE)
    assert user.stdout is not None
    assert user.stdout.readline() == b"up\n"
    user.kill()
    user.wait()
    until(lambda: processes_of(tmp_path) == [])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--account", "123"], "'--account' should be 12 digits, got '123'"),
        (["--port", "99999"], "port 99999 cannot be used: "),
        (["--state-dir", __file__], "'--state-dir' should be a folder that can be written, got '"),
        (["--set", "colour=red"], "unknown setting 'colour'"),
        (["--set", "write_rate"], "'--set' should be NAME=VALUE, got 'write_rate'"),
    ],
)
def test_wrong_argument_is_an_error_that_names_it(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    assert refusal(monkeypatch, *arguments).startswith(f"local-sagemaker: {message}")


def refusal(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    """The words with which the command refuses arguments."""
    monkeypatch.setattr(sys, "argv", ["local-sagemaker", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return str(ended.value)


def test_packages_of_the_extra_that_are_missing_are_an_error_that_names_the_extra() -> None:
    # Without the installed packages, as after an installation of the wheel alone.
    bare = [sys.executable, "-S", "-m", "local_sagemaker"]
    said = subprocess.run(
        bare, env={"PYTHONPATH": str(ROOT / "local")}, capture_output=True, text=True, check=False
    )
    assert (said.returncode, said.stderr) == (
        1,
        f"local-sagemaker: {', '.join(NEEDED)} should be installed for this command:"
        ' pip install "${WHEEL}[local]", where WHEEL is the file of the wheel\n',
    )


def test_command_knows_every_package_of_its_extra() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extra = project["optional-dependencies"]["local"]
    assert list(NEEDED) == [re.split(r"[<>=]", requirement)[0] for requirement in extra]


def test_port_in_use_is_an_error_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = refusal(monkeypatch, "--port", str(port))
    assert said.startswith(f"local-sagemaker: port {port} cannot be used: ")


def test_settings_change_while_it_runs(cloud: LocalCloud, settings: ChangeSettings) -> None:
    settings(write_rate=7.0)
    assert cloud.admin.settings()["write_rate"] == 7
    with pytest.raises(ValueError, match="unknown setting 'colour'"):
        cloud.admin.change_settings(colour="red")
    with pytest.raises(ValueError, match="'scale' should be a number of at least 0"):
        cloud.admin.scale_waits(-1)
    with pytest.raises(ValueError, match="not a fault"):
        cloud.admin._call("POST", "faults", {"operation": "ListModels"})


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere 127.0.0.2 is no address of this machine")
def test_only_the_loopback_address_listens(cloud: LocalCloud) -> None:
    port = int(cloud.url.rpartition(":")[2])
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.2", port)) != 0
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) == 0


def test_given_folder_keeps_what_was_in_it_and_the_log_of_each_run(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp" / "mine").write_text("kept")
    for _ in range(2):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        with LocalCloud(state_dir=tmp_path, port=port) as cloud:
            assert cloud.url == f"http://127.0.0.1:{port}"
            with pytest.raises(RuntimeError, match="should be started once"):
                cloud.start()
            cloud.process.terminate()
            assert cloud.process.wait(15) == 0
    assert (tmp_path / "tmp" / "mine").read_text() == "kept"
    assert len(list(tmp_path.glob("run-*/server.log"))) == 2
