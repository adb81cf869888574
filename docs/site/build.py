"""The site: its sources, made of the documents, and its pages, made of the sources."""

import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from docs.site.example_archives import archive_of, write_archive
from docs.site.outward_links import SiteFolder

ROOT = Path(__file__).parents[2]
_CONFIG, _PACKAGE = "zensical.toml", "cdk-multi-adapter-inference"
_SOURCES, _SITE = "sources", "site"
"""`docs_dir` and `site_dir` of zensical.toml."""
_SHIM = Path("node_modules/iframe-worker/shim/index.js")
"""Lets the search run in a page that a browser opened as a file."""


class SiteError(Exception):
    """The strict build refused the documents. The text is what it printed."""


def build_site(folder: Path) -> Path:
    """Build the site in a folder, and return the folder of its pages.

    Raises SiteError for a dead link or anchor.
    """
    for name in (_SOURCES, _SITE):
        shutil.rmtree(folder / name, ignore_errors=True)
    write_sources(ROOT / "docs", folder / _SOURCES)
    shutil.copyfile(ROOT / _SHIM, folder / _SOURCES / "assets" / "iframe-worker.js")
    config = (ROOT / _CONFIG).read_text().replace('-inference"', f'-inference {version(_PACKAGE)}"', 1)
    (folder / _CONFIG).write_text(config)
    command = [sys.executable, "-m", "zensical", "build", "--clean", "--strict"]
    ended = subprocess.run(
        command, cwd=folder, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if ended.returncode:
        raise SiteError(ended.stdout.partition("Traceback")[0].rstrip())
    # A page for servers: its links begin at the root of a host.
    (folder / _SITE / "404.html").unlink()
    return folder / _SITE


def write_sources(documents: Path, output: Path) -> None:
    """Write the sources of the site: the documents, and a page for each other file that they link to.

    A numbered example that they link to becomes a zip to download.
    """
    site = SiteFolder(repository=ROOT, documents=documents)
    wanted: set[Path] = set()
    for file in sorted(path for path in documents.rglob("*") if path.is_file()):
        if file.is_relative_to(documents / "site"):
            continue
        place = _place(site, file, output)
        if file.suffix == ".md":
            text, links = site.rewrite(file.read_text("utf-8"), file)
            place.write_text(text, "utf-8")
            wanted |= links
        else:
            shutil.copyfile(file, place)
    done: set[Path] = set()
    while missing := sorted(wanted - done):
        file = missing[0]
        if archive_of(file, ROOT):
            write_archive(file, _place(site, file, output))
            done.add(file)
            continue
        text, links = site.source_page(file)
        _place(site, file, output).write_text(text, "utf-8")
        done.add(file)
        wanted |= links


def _place(site: SiteFolder, file: Path, output: Path) -> Path:
    place = output / site.place(file)
    place.parent.mkdir(parents=True, exist_ok=True)
    return place
