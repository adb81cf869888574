"""`python -m tests.properties` writes the page, and what the newest botocore has beside the pinned one."""

from tests.properties.newer_shapes import merged_model, newest_data, write
from tests.properties.page import PAGE, page, read_answers
from tests.properties.properties import installed_schemas, of_api, of_cloudformation

data = newest_data()
if data is not None:
    write(data)
PAGE.write_text(page(of_cloudformation(installed_schemas()), of_api(merged_model()), read_answers()))
