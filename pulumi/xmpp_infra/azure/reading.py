"""Reads an Azure stack's configuration: once, everything that is wrong with it at once."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from xmpp_infra.azure.config import AzureConfig, problems_with
from xmpp_infra.azure.delegation import Ask, DelegationUnknownError, delegation_problems
from xmpp_infra.config import ConfigurationError, Source, sentences
from xmppgw.federation import Document, DocumentProblems, load_document


def azure_config(source: Source, stack: str, directory: str, ask: Ask | None = None) -> tuple[AzureConfig, Document]:
    """Return the stack's own configuration and its federation document; raises ConfigurationError with everything.

    `ask`: a zone's name servers; None in a preview, which asks nobody.
    """
    problems: list[str] = []
    document, config = None, None
    try:
        document = load_document(Path(directory, source.get("federation") or ""))
    except DocumentProblems as wrong:
        problems += [f"federation: {each.file}:{each.line}: {each.message}" for each in wrong.problems]
    try:
        # As JSON, not as Python values: a mapping's numbers and addresses are texts there, as YAML has them.
        config = AzureConfig.model_validate_json(source.get("azure") or "{}")
    except ValidationError as wrong:
        problems += [f"azure.{line}" for line in sentences(wrong)]
    if document is not None and config is not None:
        problems += problems_with(config, document)
    if config is not None and ask is not None:
        try:
            problems += [f"azure.{line}" for line in delegation_problems(config.dns.zones, ask)]
        except DelegationUnknownError as unknown:
            problems.append(f"azure.{unknown}")
    if problems or document is None or config is None:
        raise ConfigurationError(stack, sorted(problems))
    return config, document
