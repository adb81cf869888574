"""Reading the largest manifests: seconds of a processor and memory, against what the functions have.

Each manifest is read in a process of its own, which imports what the functions import, with the parser of
YAML that they have, the one in Python. It goes as far as what is written to the registry. The first ones are
taken, the others are refused; those are as large as a manifest may be, and made to cost as much as can be.

The functions have one whole processor, so that a second here is about a second there.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from adapter_fleet.documents.document import MAX_DOCUMENT_BYTES, MAX_ITEMS
from bench.harness import Claim, publish

MIB = 1024**2
DIGEST = "0d4f3c2b1a09f8e7d6c5b4a3928170695847362514039281706f5e4d3c2b1a09"
SHARE_OF_MEMORY = 0.5
SHARE_OF_TIME = 0.5

_READ = r"""
import json, re, sys, time
import yaml
from adapter_fleet.documents import yaml_reader
from adapter_fleet.lambdas import fleet as handlers
from adapter_fleet.fleet.requests.requested_manifest import desired_of
from adapter_fleet.fleet.state.fleet_settings import FleetSettings
from adapter_fleet.manifest.manifest_adapter import ManifestError
from adapter_fleet.fleet.state.generations import Target

yaml_reader.YAML_LOADER = yaml.SafeLoader
target = Target(endpoint="e", base="b", prefix="tenant", settings=FleetSettings(), buckets={}, archives={})
text = sys.stdin.buffer.read()
try:
    desired = desired_of(text, where=sys.argv[1], target=target)
    said = f"{len(desired.adapters):,} adapters"
    assert desired.digest
except ManifestError as error:
    said = error.findings[-1].rule
# Not ru_maxrss, in which a process begins with what its parent had.
peak = re.search(r"VmHWM:\s*(\d+) kB", open("/proc/self/status").read())
print(json.dumps([time.process_time(), int(peak[1]) / 1024, said]))
"""


def adapters(tags: int, *, expect: str = "(?i)delivery", count: int = MAX_ITEMS) -> Iterator[dict[str, Any]]:
    """Make adapters with everything that one may have."""
    for number in range(count):
        name = f"tenant-{number:05}"
        yield {
            "name": name,
            "artifact": f"s3://my-adapters/{name}/sha256-{DIGEST}.tar.gz",
            "digest": f"sha256:{DIGEST}",
            "rank": 16,
            "tags": {f"tag-{tag}": f"the value of {tag}" for tag in range(tags)},
            "smoke": {
                "prompt": "Classify: my parcel is late",
                "max_tokens": 16,
                "expect": f"{expect}{number}",
            },
            "component": f"component-{number:05}",
        }


def wrong_adapters() -> Iterator[dict[str, Any]]:
    """Make adapters in which nothing is right."""
    tags = {f"tag-{tag}": tag for tag in range(15)}
    for number in range(MAX_ITEMS):
        yield {"nmae": number, "artifact": 5, "rank": "x", "digest": 7, "tags": tags, "smoke": {"x": 5}}


def as_json(entries: Iterator[dict[str, Any]]) -> bytes:
    return json.dumps({"adapters": list(entries)}, ensure_ascii=False).encode()


def as_yaml(entries: Iterator[dict[str, Any]]) -> bytes:
    lines = ["adapters:"]
    for entry in entries:
        for place, (key, value) in enumerate(entry.items()):
            lines.append(f"{'  ' if place else '- '}{key}: {json.dumps(value, ensure_ascii=False)}")
    return "\n".join(lines).encode()


def filled(start: bytes, unit: bytes, end: bytes = b"") -> bytes:
    """Repeat something until the document is as large as it may be."""
    return start + unit * ((MAX_DOCUMENT_BYTES - len(start) - len(end)) // len(unit)) + end


def numbered(start: bytes, unit: str, end: bytes = b"") -> bytes:
    """Do so with another number in each."""
    made = b"".join((unit % number).encode() for number in range(MAX_DOCUMENT_BYTES // len(unit)))
    return start + made[: MAX_DOCUMENT_BYTES - len(start) - len(end)].rpartition(b",")[0] + end


_DEEP = b"[" * 90 + b"]" * 90

TAKEN: Mapping[str, Callable[[], bytes]] = {
    "10,000 adapters.json": lambda: as_json(adapters(4)),
    "10,000 adapters.yaml": lambda: as_yaml(adapters(4)),
    "10,000 adapters with 12 tags.json": lambda: as_json(adapters(12)),
    "10,000 adapters with 12 tags.yaml": lambda: as_yaml(adapters(12)),
    "escapes in one text.yaml": lambda: filled(b'adapters: []\nbase_model: "', b"\\x41", b'"'),
    "words in one text.yaml": lambda: filled(b"adapters: []\nbase_model:", b"\n a"),
    "comments.yaml": lambda: filled(b"adapters: []\n", b"#\n"),
}
REFUSED: Mapping[str, Callable[[], bytes]] = {
    "empty entries.json": lambda: filled(b'{"adapters":[', b"{},", b"{}]}"),
    "empty entries.yaml": lambda: filled(b"adapters:\n", b"- {}\n"),
    "nothing right.json": lambda: as_json(wrong_adapters()),
    "nothing right.yaml": lambda: as_yaml(wrong_adapters()),
    "deep lists.json": lambda: filled(b'{"adapters":[', _DEEP + b",", b"1]}"),
    "deep lists.yaml": lambda: filled(b"adapters:\n", b"- " + _DEEP + b"\n"),
    "many keys.json": lambda: numbered(b'{"adapters":[{', '"key%x":1,', b"}]}"),
    "many keys.yaml": lambda: numbered(b"adapters:\n- {", "key%x: 1,", b"}"),
    "a key again and again.json": lambda: filled(b"{", b'"a":1,', b'"a":1}'),
    "a key again and again.yaml": lambda: filled(b"", b"a: 1\n"),
    "directives.yaml": lambda: filled(b"", b"%X\n", b"---\na: 1"),
    "new lines.json": lambda: filled(b'{"adapters":[]', b"\n", b"]"),
}


def read(name: str, text: bytes) -> tuple[float, float, str]:
    """Return the seconds and the mebibytes that reading takes, and what comes of it."""
    assert len(text) <= MAX_DOCUMENT_BYTES, name
    done = subprocess.run(
        [sys.executable, "-c", _READ, name],
        input=text,
        stdout=subprocess.PIPE,
        check=True,
    )
    seconds, mebibytes, said = json.loads(done.stdout)
    return seconds, mebibytes, said


def main() -> int:
    # The CDK takes a second to import, and what is measured does without.
    from multi_adapter_inference.fleet.control_plane import MANIFEST_MEMORY_MIB, MANIFEST_TIMEOUT

    most_seconds, figures = 0.0, []
    most_mebibytes = 0.0
    for name, make in {**TAKEN, **REFUSED}.items():
        text = make()
        seconds, mebibytes, said = read(name, text)
        assert said.endswith("adapters") == (name in TAKEN), f"{name}: {said}"
        most_seconds, most_mebibytes = max(most_seconds, seconds), max(most_mebibytes, mebibytes)
        figures.append(
            {
                "manifest": name,
                "MiB": f"{len(text) / MIB:.1f}",
                "seconds": f"{seconds:.1f}",
                "peak MiB": f"{mebibytes:.0f}",
                "what comes of it": said,
            }
        )
    return publish(
        "manifest",
        [
            Claim.at_most(
                SHARE_OF_MEMORY,
                "the most memory that a manifest takes (MiB), of what a function has",
                ours=most_mebibytes,
                other=MANIFEST_MEMORY_MIB,
            ),
            Claim.at_most(
                SHARE_OF_TIME,
                "the most seconds that a manifest takes, of a function's timeout",
                ours=most_seconds,
                other=MANIFEST_TIMEOUT.to_seconds(),
            ),
        ],
        figures=figures,
    )


if __name__ == "__main__":
    sys.exit(main())
