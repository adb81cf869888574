"""A model of 2 GB copied from a stand-in of the hub by a deployment, and by `adapters pull`, in one run.

Both on the embedded cloud, on one machine: how fast a hub, AWS or a line is, is not in these figures. What
they say is what the way of copying adds, and what becomes of a copy when a file fails twice, a range is cut
off, and the state machine is stopped in the middle.
"""

import hashlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that the file also runs by its path

# Read when the CDK is imported. Nothing that is deployed depends on it.
os.environ.setdefault("CDK_VALIDATION", "false")

import aws_cdk as cdk

from bench.harness import Claim, publish
from local_sagemaker.server import LocalCloud
from tests.hub import COMMIT, File, Generated, HubStandIn, small_model
from tests.integration.by_hand import client
from tests.integration.hub_stack import HubStack

MEGABYTES = int(os.environ.get("BENCH_MEGABYTES", "2000"))
FILES = 4
AT_ONCE = 8
PART_MIB = 64
MODEL = "acme/large"
FOLDER = f"models/acme--large/{COMMIT}/"
TOKEN = "hf_theSecretThatNobodyMaySee"


@dataclass(frozen=True, kw_only=True)
class Copied:
    """What one deployment took, in seconds and in bytes that the hub sent, and what it left.

    looked_at, leaks:
        In how many texts the token was looked for, and in how many it was.
    """

    seconds: float
    sent: int
    different: int
    uploads: int
    looked_at: int
    leaks: int


def model() -> dict[str, File]:
    """Return the files; of the weights, none is a whole number of ranges long."""
    size = MEGABYTES * 1_000_000 // FILES
    return small_model(**{f"part{number}": File(Generated(size + number, number)) for number in range(FILES)})


def weights(hub: HubStandIn) -> dict[str, int]:
    """Return the sizes of the files that count here, by path."""
    return {path: file.content.size for path, file in hub.files.items() if path.startswith("part")}


def disturb(hub: HubStandIn) -> None:
    """Have a file fail twice, and a range of another one cut off."""
    hub.files["part0.safetensors"].fails = 2
    hub.files["part1.safetensors"].cut_at = [MEGABYTES * 1_000_000 // FILES // 3]


def deploy(cloud: LocalCloud, hub: HubStandIn, folder: Path, secret: str, *, stopped: bool) -> Copied:
    """Deploy a copy; have its machine stopped when a third has come."""
    s3, bucket = client(cloud, "s3"), f"deployed-{stopped}".lower()
    s3.create_bucket(Bucket=bucket)
    stack = HubStack(
        cloud,
        folder,
        hub,
        bucket=bucket,
        secret=secret,
        part_size=cdk.Size.mebibytes(PART_MIB),
        max_concurrency=AT_ONCE,
    )
    hub.ranges.clear()
    started = time.perf_counter()
    stack.create(wait=False)
    if stopped:
        execution = stack.running()
        while sum(hub.sent.values()) < MEGABYTES * 1_000_000 / 3:
            time.sleep(0.05)
        stack.machines.stop_execution(executionArn=execution, cause="the bench looks what becomes of it")
    deployed = stack.wait(seconds=1800)
    seconds = time.perf_counter() - started
    if deployed.status != "CREATE_COMPLETE":
        raise SystemExit(f"the deployment ended as {deployed.status}: {deployed.reason}")
    told = [*stack.told().values(), *small_objects(cloud, bucket)]
    copied = Copied(
        seconds=seconds,
        sent=sum(hub.sent[path] for path in weights(hub)),
        different=different(cloud, hub, bucket),
        uploads=len(stack.uploads()),
        looked_at=len(told),
        leaks=sum(TOKEN in text for text in told),
    )
    stack.delete()
    for item in s3.list_objects_v2(Bucket=bucket)["Contents"]:
        s3.delete_object(Bucket=bucket, Key=item["Key"])
    return copied


def small_objects(cloud: LocalCloud, bucket: str) -> Iterator[str]:
    """Return the objects in a bucket but the weights, which are compared with the hub's."""
    s3 = client(cloud, "s3")
    for item in s3.list_objects_v2(Bucket=bucket)["Contents"]:
        if not item["Key"].startswith(f"{FOLDER}part"):
            yield s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read().decode("latin-1")


def pull(cloud: LocalCloud, hub: HubStandIn, folder: Path) -> tuple[float, int]:
    """Run `adapters pull`; return the seconds, and how many files are other than the hub's."""
    client(cloud, "s3").create_bucket(Bucket="pulled")
    own = {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(folder / "cache"),
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_TOKEN": TOKEN,
    }
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "adapters_cli", "pull", MODEL, "s3://pulled/models"],
        env=cloud.environment | own,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return time.perf_counter() - started, different(cloud, hub, "pulled")


def different(cloud: LocalCloud, hub: HubStandIn, bucket: str) -> int:
    """Return how many files of the weights are missing in a bucket or have other bytes."""
    s3 = client(cloud, "s3")
    number = 0
    for path, file in hub.files.items():
        if path.startswith("part"):
            hashed = hashlib.sha256()
            for piece in pieces(s3.get_object(Bucket=bucket, Key=FOLDER + path)["Body"]):
                hashed.update(piece)
            number += hashed.hexdigest() != file.digest
    return number


def pieces(body: object) -> Iterator[bytes]:
    while piece := body.read(1 << 22):  # type: ignore[attr-defined]
        yield piece


def main() -> int:
    with (
        tempfile.TemporaryDirectory(prefix="bench-hub-") as name,
        HubStandIn(MODEL, model(), token=TOKEN) as hub,
        LocalCloud() as cloud,
    ):
        made = client(cloud, "secretsmanager").create_secret(Name="bench-hub", SecretString=TOKEN)
        secret = str(made["ARN"])
        plain = deploy(cloud, hub, Path(name), secret, stopped=False)
        disturb(hub)
        stopped = deploy(cloud, hub, Path(name), secret, stopped=True)
        pulled, pulled_different = pull(cloud, hub, Path(name))
        total = sum(weights(hub).values())
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    subject = f"{total / 1e9:.1f} GB in {FILES} files"
    trouble = f"{subject}, one fails twice, one is cut off, stopped and started"
    under_way = AT_ONCE * PART_MIB * 2**20
    claims = [
        Claim.at_most(
            1 + under_way / total,
            f"{trouble}: bytes that the hub sent (other: of the model; {AT_ONCE} ranges are under way)",
            ours=stopped.sent,
            other=total,
        ),
        _all(f"{trouble}: files as on the hub", FILES - stopped.different, FILES),
        _all(f"{trouble}: files whose upload ended", FILES - stopped.uploads, FILES),
        Claim.at_most(
            0,
            f"{trouble}: texts with the token (other: templates, states, logs, functions, tables and small"
            " objects that it was looked for in)",
            ours=stopped.leaks,
            other=stopped.looked_at,
        ),
        Claim.at_most(
            1, f"{subject}: bytes that the hub sent (other: of the model)", ours=plain.sent, other=total
        ),
        _all(f"{subject}: files as on the hub", FILES - plain.different, FILES),
        _all(f"{subject} by adapters pull: files as on the hub", FILES - pulled_different, FILES),
        Claim.at_most(
            3,
            f"on the emulator: {subject}, s of the deployment (other: adapters pull)",
            ours=plain.seconds,
            other=pulled,
        ),
    ]
    ways = {
        "a deployment": plain.seconds,
        "a deployment that was stopped": stopped.seconds,
        "adapters pull": pulled,
    }
    figures = [
        {
            "way": way,
            "s": f"{seconds:.1f}",
            "MB/s": f"{total / 1e6 / seconds:.0f}",
            "largest process, MB": f"{memory / 1e6:,.0f}",
        }
        for way, seconds in ways.items()
    ]
    return publish("hub", claims, figures=figures)


def _all(claim: str, ours: int, other: int) -> Claim:
    return Claim(
        claim=claim, ours=ours, other=other, ratio=ours / other, goal=f"all {other}", holds=ours == other
    )


if __name__ == "__main__":
    sys.exit(main())
