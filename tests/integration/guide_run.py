"""Runs the commands of a guide from top to bottom, as its reader would."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from local_sagemaker.server import LocalCloud
from tests.integration.by_hand import client

ROOT = Path(__file__).parents[2]
BUCKET = "onboarding"
"""What the guides name their bucket."""


class GuideRun:
    """A folder with the files that guides name, and what each command printed on standard output."""

    def __init__(self, cloud: LocalCloud, folder: Path, guide: str) -> None:
        self._cloud = cloud
        self.folder = folder
        self.text = (ROOT / "docs" / "guides" / guide).read_text()
        self.said: dict[str, str] = {}
        for name in ("app.py", "cdk.json"):
            (folder / name).symlink_to(ROOT / name)
        # What Python compiled may be renamed meanwhile, by another test's process.
        shutil.copytree(ROOT / "examples", folder / "examples", ignore=shutil.ignore_patterns("__pycache__"))

    def run(self) -> None:
        """Run every line of the guide's blocks of shell commands; each must succeed."""
        variables = self._cloud.environment | {
            "LOCAL_SAGEMAKER_TOKEN": self._cloud.token,  # `make local` prints it as well
            "HOME": str(self.folder / "home"),
            "CDK_DISABLE_VERSION_CHECK": "1",
            "CDK_VALIDATION": "false",
        }
        blocks = re.findall(r"^```sh\n(.*?)^```$", self.text, re.DOTALL | re.MULTILINE)
        self._cloud.admin.scale_waits(0.1)
        try:
            for command in re.sub(r" *\\\n *", " ", "".join(blocks)).splitlines():
                done = subprocess.run(
                    ["bash", "-c", command],
                    cwd=self.folder,
                    env=variables,
                    capture_output=True,
                    text=True,
                    check=False,
                )
                assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
                self.said[command] = done.stdout
        finally:
            self._cloud.admin.scale_waits(1)

    def output(self, *words: str) -> str:
        """Return what the one command with these words printed."""
        (found,) = [text for command, text in self.said.items() if all(word in command for word in words)]
        return found

    def delete_bucket(self) -> None:
        """Delete the bucket that the guide has created."""
        s3 = client(self._cloud, "s3")
        for found in s3.list_objects_v2(Bucket=BUCKET).get("Contents", []):
            s3.delete_object(Bucket=BUCKET, Key=found["Key"])
        s3.delete_bucket(Bucket=BUCKET)
