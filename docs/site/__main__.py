"""`python -m docs.site` builds the site of the documents, and fails on a dead link or anchor."""

import sys

from docs.site.build import ROOT, SiteError, build_site

_FOLDER = ROOT / "build" / "docs"

_FOLDER.mkdir(parents=True, exist_ok=True)
try:
    site = build_site(_FOLDER)
except SiteError as error:
    sys.exit(str(error))
print(f"built {(site / 'index.html').relative_to(ROOT)}: open it in a browser, it needs no server")
