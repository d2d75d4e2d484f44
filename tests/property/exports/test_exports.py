"""Whatever the objects are, every form and encoding of them comes to the same; no bytes end in a traceback."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.exports.powershell import (
    DEPLOYMENT,
    ENCODINGS,
    FEDERATED,
    NOT_SUPPORTED,
    OPTIONAL,
    REQUIRED,
    UNVERIFIED,
    VERIFIED,
    clixml_of,
    csv_of,
    encoded,
    json_of,
    partner,
)

from xmppgw.exports.deployment import Gathering, XmppPartner
from xmppgw.exports.document import document_of
from xmppgw.exports.files import read_file
from xmppgw.exports.findings import Findings
from xmppgw.exports.yaml_form import lines_of
from xmppgw.federation import examine_bytes

PARTNERS = "Get-CsXmppAllowedPartner"
LABEL = st.from_regex(r"[a-z]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True).filter(lambda text: "--" not in text)
DOMAIN = st.builds(lambda one, two: f"{one}.{two}.example", LABEL, LABEL)
# What a person can type into a description; PowerShell's own forms cannot carry C0 controls in CSV.
TEXT = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Cn"), include_characters="\n\t_x000A"), min_size=1, max_size=60
).filter(lambda text: text.strip() == text and "{" not in text and "\ufeff" not in text)


@st.composite
def partners(draw: st.DrawFn) -> list[dict[str, Any]]:
    names = draw(st.lists(DOMAIN, min_size=2, max_size=9, unique=True))
    count = draw(st.integers(1, len(names) - 1))
    found = []
    for name in names[:count]:
        additional = [each for each in names[count:] if draw(st.booleans())] if name == names[0] else []
        found.append(
            partner(
                name,
                AdditionalDomains=additional,
                Description=draw(st.none() | TEXT),
                PartnerType=draw(st.sampled_from((FEDERATED, VERIFIED, UNVERIFIED))),
                TlsNegotiation=draw(st.sampled_from((REQUIRED, OPTIONAL, NOT_SUPPORTED))),
                SaslNegotiation=draw(st.sampled_from((REQUIRED, OPTIONAL, NOT_SUPPORTED))),
                SupportDialbackNegotiation=draw(st.booleans()),
                EnableKeepAlive=draw(st.booleans()),
                ConnectionLimit=draw(st.none() | st.integers(0, 2**32 - 1)),
                ProxyFqdn=draw(st.none() | DOMAIN),
            )
        )
    return found


def gather(path: Path, data: bytes) -> tuple[Findings, Gathering]:
    path.write_bytes(data)
    findings = Findings()
    gathering = Gathering(findings)
    for record in read_file(path, findings, []):
        gathering.add(record)
    gathering.finish()
    return findings, gathering


def read_back(path: Path, text: str, encoding: str) -> dict[str, XmppPartner]:
    findings, gathering = gather(path, encoded(text, encoding))
    assert not findings.problems, (findings.problems, text)
    return {name: found.item for name, found in gathering.deployment.partners.items()}


def expected(objects: Sequence[dict[str, Any]], *, lists: bool) -> dict[str, XmppPartner]:
    return {
        each["Domain"]: XmppPartner(
            each["Domain"],
            tuple(sorted(set(each["AdditionalDomains"]))) if lists else None,
            each["Description"] or "",
            each["PartnerType"].name,
            each["TlsNegotiation"].name,
            each["SaslNegotiation"].name,
            each["SupportDialbackNegotiation"],
            each["EnableKeepAlive"],
            each["ConnectionLimit"],
            each["ProxyFqdn"] or "",
        )
        for each in objects
    }


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(objects=partners(), encoding=st.sampled_from(ENCODINGS), data=st.data())
def test_every_form_says_the_same(
    tmp_path_factory: pytest.TempPathFactory, objects: list[dict[str, Any]], encoding: str, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "export"
    assert read_back(path, clixml_of(PARTNERS, objects), encoding) == expected(objects, lists=True)
    style, numbers = data.draw(st.sampled_from(("7", "5.1"))), data.draw(st.booleans())
    assert read_back(path, json_of(objects, style=style, numbers=numbers), encoding) == expected(objects, lists=True)
    typed, delimiter = data.draw(st.booleans()), data.draw(st.sampled_from(",;\t"))
    text = csv_of(PARTNERS, objects, typed=typed, delimiter=delimiter)
    assert read_back(path, text, encoding) == expected(objects, lists=False)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(objects=partners())
def test_the_document_says_what_was_read(
    tmp_path_factory: pytest.TempPathFactory, objects: list[dict[str, Any]]
) -> None:
    _, gathering = gather(tmp_path_factory.getbasetemp() / "export", clixml_of(PARTNERS, objects).encode())
    imported = document_of(gathering.deployment, Findings())
    written = {each["domain"]: each for each in yaml.safe_load(imported.text)["federation"]["partners"]}
    assert set(written) == {each["Domain"] for each in objects}
    for each in objects:
        assert written[each["Domain"]].get("description") == (each["Description"] or None)
        assert written[each["Domain"]]["dialback"] is each["SupportDialbackNegotiation"]
    problems = examine_bytes(imported.text.encode(), "x").problems
    gaps = {path for path, _ in imported.gaps}
    assert not [each for each in problems if each.severity.value != "warning" and each.path not in gaps]


@given(st.dictionaries(st.sampled_from("abcdef"), st.text(max_size=30) | st.booleans() | st.integers(-(2**31), 2**31)))
def test_what_is_written_as_yaml_is_read_as_it_was(value: dict[str, Any]) -> None:
    # Lone surrogates are no text that any file could hold.
    with contextlib.suppress(UnicodeEncodeError):
        text = "\n".join(lines_of(value)).encode()
        assert (yaml.safe_load(text) or {}) == value


SEEDS = [
    form(cmdlet, objects).encode(encoding)
    for cmdlet, objects in DEPLOYMENT.items()
    for form in (clixml_of, lambda _, each: json_of(each), csv_of)
    for encoding in ("utf-8", "utf-16")
]


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=150)
@given(seed=st.sampled_from(SEEDS), data=st.data())
def test_mutated_bytes_are_imported_or_refused_and_never_end_in_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, seed: bytes, data: st.DataObject
) -> None:
    mutated = bytearray(seed)
    for _ in range(data.draw(st.integers(1, 6))):
        start = data.draw(st.integers(0, len(mutated)))
        end = min(len(mutated), start + data.draw(st.sampled_from((0, 1, 1, 2, 50, 5_000))))
        mutated[start:end] = data.draw(
            st.sampled_from(
                (b"", b'"', b"<", b">", b"&", b"\0", b"\xff", b"{", b"[", b"_xD800_", b"</Obj>", b"\r", b"9" * 30)
            )
            | st.binary(max_size=4)
        )
    findings, gathering = gather(tmp_path_factory.getbasetemp() / "export", bytes(mutated))
    document_of(gathering.deployment, findings)
    assert all(problem.code.startswith("export-") for problem in findings.problems)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(seed=st.sampled_from(SEEDS), data=st.data())
def test_a_truncated_export_never_yields_an_object_that_was_not_there(
    tmp_path_factory: pytest.TempPathFactory, seed: bytes, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "export"
    _, whole = gather(path, seed)
    findings, part = gather(path, seed[: data.draw(st.integers(0, len(seed) - 1))])
    if not findings.problems:
        for name, found in part.deployment.partners.items():
            assert whole.deployment.partners[name].item == found.item
