"""The lab provider's parts that touch no host: images' names, mirrors, secrets, certificates, comparisons."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store
from pulumi.provider.experimental import provider as sdk

from lab_provider import image, namespace, vault
from lab_provider.authority import AuthorityInputs, Certificate, CertificateAuthority, CertificateInputs
from lab_provider.kinds import Properties
from lab_provider.places import Places, write_private
from lab_provider.provider import UNKNOWN, LabProvider, plain, wrapped
from xmpp_infra.lab.content import CertificateSpec, FileSpec, HostContent, secret


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "lab", tmp_path / "cache", "testlab")


@pytest.mark.parametrize(
    ("files", "mirror"),
    [
        ({}, image.FALLBACK_MIRROR),
        ({"sources.list": "deb https://mirror.example/debian bookworm main\n"}, "https://mirror.example/debian"),
        (
            {"sources.list": "deb [signed-by=/k] http://a.example/debian/ bookworm main contrib\n"},
            "http://a.example/debian",
        ),
        ({"sources.list": "deb http://a.example/debian-security bookworm-security main\n"}, image.FALLBACK_MIRROR),
        (
            {
                "sources.list.d/other.list": "deb https://packages.example/apt stable main\n",
                "sources.list.d/debian.sources": "Types: deb\n# old\nURIs: http://b.example/debian\nSuites: bookworm\n"
                "Components: main\n\nTypes: deb\nURIs: http://b.example/debian-security\nComponents: main\n",
            },
            "http://b.example/debian",
        ),
    ],
)
def test_the_machines_own_mirror_is_used(tmp_path: Path, files: dict[str, str], mirror: str) -> None:
    (tmp_path / "sources.list.d").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert image.mirror_of_this_machine(tmp_path) == mirror


def test_an_images_name_follows_from_what_goes_into_it() -> None:
    plain_image = image.Recipe("plain", ("systemd",), "true")
    assert plain_image.digest == image.Recipe("plain", ("systemd",), "true").digest
    others = [
        image.Recipe("plain", ("systemd", "dbus"), "true"),
        image.Recipe("plain", ("systemd",), "false"),
        image.Recipe("plain", ("systemd",), "true", below=plain_image),
    ]
    assert len({recipe.digest for recipe in [plain_image, *others]}) == 4


def test_a_missing_image_says_what_to_do(places: Places) -> None:
    with pytest.raises(image.BakeError, match="make lab-up"):
        image.layers(image.SERVERS, places.cache)


def test_secrets_are_drawn_once_and_kept_private(places: Places) -> None:
    first = vault.value(places, "tsig/lab-update")
    assert vault.value(places, "tsig/lab-update") == first
    text = f'key {secret("tsig/lab-update")}; password "{secret("xmpp/juliet@partner1.example")}"'
    filled = vault.fill_in(places, text)
    password = json.loads((places.lab / "secrets.json").read_text())["xmpp/juliet@partner1.example"]
    assert filled == f'key {first}; password "{password}"'
    assert password.isalnum() and len(password) == 32
    assert (places.lab / "secrets.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["", "a@@b", "line\nbreak"])
def test_names_that_would_break_a_place_holder_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="secret's name"):
        secret(name)


def test_a_file_is_never_half_written_or_open_to_others(tmp_path: Path) -> None:
    write_private(tmp_path / "deep" / "file", b"one")
    write_private(tmp_path / "deep" / "file", b"two")
    assert (tmp_path / "deep" / "file").read_bytes() == b"two"
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["file"]
    assert (tmp_path / "deep" / "file").stat().st_mode & 0o777 == 0o600


def test_certificates_verify_against_their_authority_and_carry_only_what_was_asked(places: Places) -> None:
    authority = CertificateAuthority(places).create("public-ca", AuthorityInputs("public", "Test CA"))
    inputs = CertificateInputs(
        "edge", "public", str(authority.outputs["fingerprint"]), ["edge1.corp.example"], client_auth=False
    )
    made = Certificate(places).create("edge", inputs)
    leaf = x509.load_pem_x509_certificate(str(made.outputs["certificate_pem"]).encode())
    root = x509.load_pem_x509_certificate(str(authority.outputs["certificate_pem"]).encode())
    verifier = PolicyBuilder().store(Store([root])).build_server_verifier(x509.DNSName("edge1.corp.example"))
    assert verifier.verify(leaf, [])[0] == leaf
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]
    assert "PRIVATE" not in json.dumps([made.outputs, authority.outputs])
    again = CertificateAuthority(places).create("public-ca", AuthorityInputs("public", "Test CA"))
    assert again.outputs == authority.outputs, "a second creation adopts what a killed first one left"
    (places.lab / "certs" / "edge.key").unlink()
    assert Certificate(places).read("edge", inputs, made.outputs) is None


def test_hardware_addresses_are_stable_local_and_distinct() -> None:
    assert namespace.hardware_address("a", "b") == namespace.hardware_address("a", "b")
    assert namespace.hardware_address("a", "b") != namespace.hardware_address("b", "a")
    assert namespace.hardware_address("a", "b").startswith("02:")


def test_contents_are_merged_and_conflicts_named() -> None:
    one = HostContent({"/a": FileSpec("x")}, ("a.service",), (CertificateSpec("c", "public", ("x",)),))
    two = HostContent({"/b": FileSpec("y")}, ("a.service", "b.service"))
    assert one.merged_with(two).units == ("a.service", "b.service")
    with pytest.raises(ValueError, match="same file: /a"):
        one.merged_with(HostContent({"/a": FileSpec("z")}))
    with pytest.raises(ValueError, match="same certificate: c"):
        one.merged_with(HostContent(certificates=one.certificates))


HOST: Properties = {
    "name": "dns1",
    "namespace": "testlab",
    "image": "servers",
    "image_digest": "0",
    "interfaces": [{"bridge": "internet", "addresses": ["203.0.113.53/25"]}],
}


@pytest.fixture
def provider(places: Places) -> LabProvider:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return LabProvider(f"127.0.0.1:{unused.getsockname()[1]}", places)


def _urn(kind: str) -> str:
    return f"urn:pulumi:lab::xmppgw::xmppgw:lab:Hosts$lab:index:{kind}::dns1"


def _failures(provider: LabProvider, kind: str, inputs: Properties) -> list[str]:
    answer = asyncio.run(provider.check(sdk.CheckRequest(_urn(kind), {}, wrapped(inputs), b"")))
    return [f"{failure.property}: {failure.reason}" for failure in answer.failures or []]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"name": "a-name-too-long-for-an-interface"}, "name"),
        ({"name": "../x"}, "name"),
        ({"image": "windows"}, "image"),
        ({"imagge": "plain"}, "imagge"),
        ({"units": "not a list"}, "units"),
        ({"interfaces": [{"bridge": 5, "addresses": []}]}, "bridge"),
    ],
)
def test_wrong_inputs_are_refused_by_name(provider: LabProvider, change: Properties, named: str) -> None:
    (failure,) = _failures(provider, "Host", {**HOST, **change})
    assert named in failure


def test_right_inputs_and_unknown_ones_pass(provider: LabProvider) -> None:
    assert _failures(provider, "Host", HOST) == []
    assert _failures(provider, "Host", {**HOST, "ssh_public_key": UNKNOWN, "image": UNKNOWN}) == []
    assert _failures(provider, "Spaceship", {}) != []


def _diff(provider: LabProvider, old: Properties, new: Properties, ignore: list[str]) -> sdk.DiffResponse:
    return asyncio.run(provider.diff(sdk.DiffRequest(_urn("Host"), "dns1", wrapped(old), wrapped(new), ignore)))


@pytest.mark.parametrize(
    ("old", "new", "diffs", "replaces"),
    [
        ({"state": "running"}, {}, [], []),
        ({"state": "running"}, {"units": []}, [], []),
        ({"state": "running"}, {"units": ["knot.service"]}, ["units"], []),
        ({"state": "stopped"}, {}, ["state"], []),
        ({"state": "running", "failed_units": ["knot.service"]}, {}, ["failed_units"], []),
        ({"state": "running"}, {"image_digest": "1"}, ["image_digest"], ["image_digest"]),
    ],
)
def test_comparing_hosts(
    provider: LabProvider, old: Properties, new: Properties, diffs: list[str], replaces: list[str]
) -> None:
    answer = _diff(provider, {**HOST, **old}, {**HOST, **new}, [])
    assert (answer.diffs, answer.replaces, answer.changes) == (diffs, replaces, bool(diffs))


def test_ignored_inputs_are_not_compared(provider: LabProvider) -> None:
    answer = _diff(provider, {**HOST, "state": "running"}, {**HOST, "units": ["x.service"]}, ["units"])
    assert answer.changes is False


def test_values_survive_the_way_through_property_values() -> None:
    values: Properties = {"a": [1, 2.5, True, None, "x"], "b": {"c": {"d": []}}}
    assert plain(wrapped(values)) == values


def test_strictness_is_msgspecs() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"name": "x", "common_name": "y", "surplus": 1}, AuthorityInputs)


def test_the_cache_keeps_the_present_image_and_the_one_before(tmp_path: Path) -> None:
    names = [f"servers-{digit * 12}" for digit in "abcd"]
    for age, name in enumerate(names):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (1000 + age, 1000 + age))
    (tmp_path / "servers.log").touch()
    # The present one is not the newest: somebody went back a commit.
    (tmp_path / "current-servers").symlink_to(names[1])
    assert image.prune(tmp_path) == [names[0], names[2]]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["current-servers", names[1], names[3], "servers.log"]
