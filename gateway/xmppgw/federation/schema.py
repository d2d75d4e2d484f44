"""The JSON schema of the document, for editors that complete and check as one types.

Generated from the model (`xmppgw schema`) and kept as docs/federation.schema.json; a test says when the two differ.
"""

from __future__ import annotations

import json

from xmppgw.federation.model import Document


def document_schema() -> str:
    """The schema as JSON text with a final newline; stable from run to run."""
    schema = Document.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "Federation document"
    return json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
