"""Issuer `key_vault`: certificates signed by a key that never leaves the vault, against a vault on this machine."""

from __future__ import annotations

import datetime

import pytest
from ansible_collections.xmppgw.migration.plugins.plugin_utils import certificate_judging as judging
from ansible_collections.xmppgw.migration.plugins.plugin_utils import issuer_key_vault, issuing, wanted
from ansible_collections.xmppgw.migration.plugins.plugin_utils.azure_rest import AzureRest
from ansible_collections.xmppgw.migration.plugins.plugin_utils.key_vault import VaultKey
from cryptography.hazmat.primitives.asymmetric import ec

from . import certificate_world as world
from .azure_cloud import Azure, World

WANTED = {
    "subject": "edge1-int.corp.example",
    "names": ["edge1-int.corp.example"],
    "usages": ["serverAuth", "clientAuth"],
    "issuer": "key_vault",
    "authority": "private",
}


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    made = Azure(tmp_path_factory.mktemp("vault"))
    yield made
    made.stop()


@pytest.fixture
def vault(running, monkeypatch):
    running.requests.clear()
    running.troubles.clear()
    monkeypatch.setenv("AZURE_VAULT_ACCESS_TOKEN", running.token())
    return running


def rest(vault):
    run = World(vault)
    return AzureRest(run.azure, run.carry_https, run.pause)


def key(vault, name="private-ca"):
    return VaultKey(rest(vault), f"{vault.address}/keys/{name}")


def surroundings(vault, folder):
    return issuing.Surroundings(
        authorities={"private": folder},
        vault_keys={"private": f"{vault.address}/keys/private-ca"},
        azure=lambda: rest(vault),
    )


def order(folder):
    request = world.request(world.key(), WANTED["names"])
    roots = wanted.roots({"private": folder}, WANTED)
    return issuing.Order("edge1", "link", WANTED, request, roots)


def test_a_request_is_signed_in_the_vault_and_the_chain_holds(vault, tmp_path):
    now = datetime.datetime.now(datetime.UTC)
    authority = issuer_key_vault.make_authority("private", tmp_path, key(vault), now)
    made = order(tmp_path)
    chain = issuing.obtain([made], surroundings(vault, tmp_path), now).chains["link"]
    request = issuing.read_request(made.request)
    assert judging.examine(chain, WANTED, made.roots, now, public_key=judging.public_half(request), exact=True) == []
    assert judging.read_chain(chain)[1] == authority
    seen = {"pem": chain, "public_key": judging.public_half(request)}
    assert issuing.problem_of(seen, WANTED, made.roots, now) is None


def test_only_digests_leave_and_only_one_signature_per_certificate_is_asked_for(vault, tmp_path):
    now = datetime.datetime.now(datetime.UTC)
    issuer_key_vault.make_authority("private", tmp_path, key(vault), now)
    vault.requests.clear()
    issuing.obtain([order(tmp_path)], surroundings(vault, tmp_path), now)
    assert [(method, path.rpartition("/")[2]) for method, path, _ in vault.requests] == [
        ("GET", "private-ca"), ("POST", "sign"),
    ]  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == ["ca.pem"], "no key is kept here"


def test_an_authority_is_made_once_and_never_replaced(vault, tmp_path):
    now = datetime.datetime.now(datetime.UTC)
    issuer_key_vault.make_authority("private", tmp_path, key(vault), now)
    before = (tmp_path / "ca.pem").read_bytes()
    with pytest.raises(issuing.IssuingError, match="there already"):
        issuer_key_vault.make_authority("private", tmp_path, key(vault), now)
    assert (tmp_path / "ca.pem").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["ca.pem"]


def test_throttling_is_honoured_and_a_lost_signature_is_asked_for_again(vault, tmp_path):
    now = datetime.datetime.now(datetime.UTC)
    issuer_key_vault.make_authority("private", tmp_path, key(vault), now)
    vault.trouble((429, {"Retry-After": "3"}), None, "lost", (429, {"Retry-After": "3"}))
    assert issuing.obtain([order(tmp_path)], surroundings(vault, tmp_path), now).chains


def test_a_vault_that_never_answers_or_refuses_is_named(vault):
    vault.trouble("lost", "lost", "lost")
    with pytest.raises(issuing.IssuingError, match="cannot be reached") as refused:
        key(vault)
    assert refused.value.code == "migration-key-vault"
    vault.trouble((403, {}))
    with pytest.raises(issuing.IssuingError, match="refused this identity"):
        key(vault)


def test_a_certificate_of_another_key_is_refused_before_anything_is_signed(vault, tmp_path):
    world.Authority("other").write(tmp_path)
    with pytest.raises(issuing.IssuingError, match="not the certificate of"):
        issuing.obtain([order(tmp_path)], surroundings(vault, tmp_path), world.NOW)
    assert not [path for _method, path, _headers in vault.requests if path.endswith("/sign")]


def test_an_authority_without_certificate_says_which_playbook_makes_it(vault, tmp_path):
    with pytest.raises(issuing.IssuingError, match=r"authority\.yml"):
        issuer_key_vault.load_authority("private", surroundings(vault, tmp_path))


def test_a_key_of_another_kind_is_refused(vault):
    with pytest.raises(issuing.IssuingError, match="RSA-HSM"):
        key(vault, "web")


def test_a_signature_that_does_not_fit_is_not_used(vault):
    made = key(vault)
    original, vault.keys["private-ca"] = vault.keys["private-ca"], ec.generate_private_key(ec.SECP256R1())
    try:
        with pytest.raises(issuing.IssuingError, match="does not fit"):
            made.sign(b"to be signed", ec.ECDSA(made.digest))
    finally:
        vault.keys["private-ca"] = original


def test_the_private_half_cannot_be_had(vault):
    made = key(vault)
    for ask in (made.private_numbers, lambda: made.private_bytes(None, None, None), lambda: made.exchange(None, None)):
        with pytest.raises(NotImplementedError):
            ask()
