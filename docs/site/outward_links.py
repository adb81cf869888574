"""Links from the documents to files of the repository that are not documents.

On a code host they lead to the file. The site has a page with the text of each such file in its place.
The folder of a numbered example is a zip to download.
"""

import posixpath
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from docs.site.example_archives import archive_of
from docs.site.markdown import block

FOLDER = "source"
"""Where the pages of files are, below the root of the site."""

_NOT_SEARCHED = "---\nsearch:\n  exclude: true\n---\n\n"
_CODE = r"^[ \t]*(?P<fence>`{3,}|~{3,}).*?^[ \t]*(?P=fence)"
_LINK = re.compile(_CODE + r"|(?P<text>!?\[(?:[^\[\]]|\[[^\[\]]*\])*\]\()(?P<target>[^()\s]+)\)", re.M | re.S)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_LANGUAGES = {".py": "python", ".toml": "toml", ".yaml": "yaml", ".yml": "yaml", ".json": "json", ".sh": "sh"}


@dataclass(frozen=True)
class SiteFolder:
    """The pages of a site, and the repository that they are about.

    documents:
        The folder of the repository whose pages keep their place on the site.
    """

    repository: Path
    documents: Path

    def rewrite(self, text: str, page: Path) -> tuple[str, set[Path]]:
        """Return a page with its outward links rewritten, and the files that need pages of their own."""
        wanted: set[Path] = set()
        at = self.place(page)

        def replaced(match: re.Match[str]) -> str:
            target, hash_, fragment = (match["target"] or "").partition("#")  # a block of code has none
            if not target or target.startswith("/") or _SCHEME.match(target):
                return match[0]
            file = (page.parent / target).resolve()
            if not file.exists() or not file.is_relative_to(self.repository):
                # The strict build names it.
                return match[0]
            if not file.is_relative_to(self.documents):
                wanted.add(file)
            return f"{match['text']}{relative(self.place(file), at)}{self._kept(file, hash_ + fragment)})"

        return _LINK.sub(replaced, text), wanted

    def place(self, file: Path) -> PurePosixPath:
        """Return where a file of the repository is on the site."""
        if file.is_relative_to(self.documents):
            return PurePosixPath(file.relative_to(self.documents).as_posix())
        if archive := archive_of(file, self.repository):
            return archive
        # The generator leaves out what begins with a dot, such as .github.
        path = PurePosixPath(FOLDER, *(part.lstrip(".") for part in file.relative_to(self.repository).parts))
        return path if path.suffix == ".md" else path.with_name(f"{path.name}.md")

    def source_page(self, file: Path) -> tuple[str, set[Path]]:
        """Return the page of a file or folder of the repository, and the files that it links to."""
        name = file.relative_to(self.repository).as_posix()
        if file.suffix == ".md":
            text, wanted = self.rewrite(file.read_text("utf-8"), file)
            is_example = archive_of(file.parent, self.repository)  # the search finds its README
            return text if is_example else f"{_NOT_SEARCHED}{text}", wanted
        if file.is_dir():
            about, text = "These files of the repository are in it:", block("\n".join(_files(file)))
        else:
            language = _LANGUAGES.get(file.suffix, "")
            about, text = "A file of the repository:", block(file.read_text("utf-8"), language)
        return f"{_NOT_SEARCHED}# {name}\n\n{about}\n\n{text}\n", set()

    @staticmethod
    def _kept(file: Path, fragment: str) -> str:
        # A line of a file (#L10) is no anchor of the page with its text.
        return fragment if file.suffix == ".md" else ""


def relative(target: PurePosixPath, start: PurePosixPath) -> str:
    """Return the path of a page as seen from another one."""
    return posixpath.relpath(target, start.parent)


def _files(folder: Path) -> list[str]:
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in found if "__pycache__" not in path.parts)
