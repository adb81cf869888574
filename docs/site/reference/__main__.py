"""`python -m docs.site.reference` writes the generated pages of the reference, and a manifest's schema."""

from adapter_fleet.manifest.parser import SCHEMA_FILE
from docs.site.reference import manifest_schema
from docs.site.reference.pages import FOLDER, pages, stale

wanted = pages()
for path in list(stale(wanted)):
    file = FOLDER / path
    if path in wanted:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(wanted[path], "utf-8")
    else:
        file.unlink()
    print(f"docs/reference/{path}")
SCHEMA_FILE.write_text(manifest_schema.text(), "utf-8")
