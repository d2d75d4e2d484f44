"""What comes in is examined, every wrong thing named; requests go out and wait; authorities sign what they should."""

import dataclasses
import datetime
from types import SimpleNamespace

import pytest
from ansible_collections.xmppgw.migration.plugins.action import certificate_issue
from ansible_collections.xmppgw.migration.plugins.plugin_utils import certificate_judging as judging
from ansible_collections.xmppgw.migration.plugins.plugin_utils import issuer_acme, issuer_import, issuing
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.oid import ExtendedKeyUsageOID
from tests.unit.migration.certificate_world import DAY, NOW, WANTED, Authority, key, pem, private_pem, request


@pytest.fixture(scope="module")
def root():
    return Authority("Root")


@pytest.fixture(scope="module")
def middle(root):
    return Authority("Middle", root)


@pytest.fixture(scope="module")
def secret():
    return key()


@pytest.fixture(scope="module")
def leaf(middle, secret):
    return middle.sign(secret.public_key())


def codes(chain, root, secret, **more):
    text = chain if isinstance(chain, str) else "".join(pem(item) for item in chain)
    roots = more.pop("roots", pem(root.certificate))
    half = judging.public_half(_Holder(secret))
    return [item.code for item in judging.examine(text, WANTED, roots, NOW, public_key=half, **more)]


class _Holder:
    def __init__(self, secret):
        self.public_key = secret.public_key


def test_a_complete_chain_in_order_is_good(root, middle, leaf, secret):
    assert codes([leaf, middle.certificate], root, secret) == []
    assert codes([leaf, middle.certificate, root.certificate], root, secret) == []


def test_a_wildcard_covers_the_host_but_never_the_bare_domain(root, secret):
    wild = root.sign(secret.public_key(), names=("*.corp.example", "corp.example"))
    assert codes([wild], root, secret) == []
    only_wild = root.sign(secret.public_key(), names=("*.corp.example",))
    assert codes([only_wild], root, secret) == ["certificate-names"]


def test_every_wrong_thing_has_its_name(root, middle, leaf, secret):
    other = Authority("Elsewhere")
    public = secret.public_key()
    not_an_authority = Authority("Impostor", root, is_authority=False)
    cases = {
        "certificate-key": [middle.sign(key().public_key()), middle.certificate],
        "certificate-incomplete": [leaf],
        "certificate-order": [leaf, root.certificate, middle.certificate],
        "certificate-foreign": [leaf, middle.certificate, other.certificate],
        "certificate-names": [root.sign(public, names=("edge1.corp.example",))],
        "certificate-usage": [root.sign(public, usage=ExtendedKeyUsageOID.CLIENT_AUTH)],
        "certificate-authority": [root.sign(public, ca=True)],
        "certificate-dates": [root.sign(public, start=-90 * DAY, end=-DAY)],
        "certificate-due": [root.sign(public, end=2 * DAY, start=-88 * DAY)],
        "certificate-untrusted": [other.sign(public), other.certificate],
    }
    found = {code: codes(chain, root, secret) for code, chain in cases.items()}
    assert {code: wrong for code, wrong in found.items() if wrong != [code]} == {}
    assert codes([not_an_authority.sign(public), not_an_authority.certificate], root, secret) == [
        "certificate-untrusted"
    ]
    future = root.sign(public, start=DAY, end=90 * DAY)
    assert codes([future], root, secret) == ["certificate-dates"]


def test_what_is_no_certificate_or_holds_a_key_is_unreadable(root, secret, leaf):
    assert codes("hello", root, secret) == ["certificate-unreadable"]
    assert codes(pem(leaf) + private_pem(secret), root, secret) == ["certificate-unreadable"]
    broken = pem(leaf).replace("MI", "AA", 1)
    assert codes(broken, root, secret) == ["certificate-unreadable"]
    assert codes(pem(leaf) * 11, root, secret) == ["certificate-unreadable"]


def test_the_chain_where_the_leaf_comes_last_says_where_the_right_one_is(root, middle, leaf, secret):
    text = pem(middle.certificate) + pem(leaf)
    half = judging.public_half(leaf)
    findings = judging.examine(text, WANTED, pem(root.certificate), NOW, public_key=half)
    said = {item.code: item.text for item in findings}
    assert "number 2 in the file" in said["certificate-key"]
    assert "certificate-authority" in said


def test_a_short_lived_certificate_is_due_only_in_its_last_third(root, secret):
    short = root.sign(secret.public_key(), start=-DAY, end=6 * DAY)
    assert not judging.due(short, NOW)
    assert judging.due(short, NOW + 5 * DAY)


# Import


@pytest.fixture
def order(root, secret):
    return issuing.Order("edge1", "public", WANTED, request(secret), pem(root.certificate))


def test_a_request_goes_out_and_the_run_is_told_what_it_waits_for(order, tmp_path):
    around = issuing.Surroundings(folder=str(tmp_path / "certificates"))
    outcome = issuing.obtain([order], around, NOW)
    assert (tmp_path / "certificates/edge1.csr").read_text() == order.request
    assert outcome.chains == {}
    assert "edge1.pem" in outcome.awaited["public"]
    assert "corp.example" in outcome.awaited["public"]


@pytest.mark.parametrize("form", ["pem", "crt with CRLF", "p7b", "p7b in PEM"])
def test_a_chain_is_taken_in_whatever_form_authorities_give_it(order, tmp_path, leaf, middle, form):
    chain = [leaf, middle.certificate]
    text = "".join(pem(item) for item in chain)
    files = {
        "pem": ("edge1.pem", text.encode()),
        "crt with CRLF": ("edge1.crt", text.replace("\n", "\r\n").encode()),
        # A set without an order: the leaf need not come first.
        "p7b": ("edge1.p7b", pkcs7.serialize_certificates(chain[::-1], serialization.Encoding.DER)),
        "p7b in PEM": ("edge1.p7b", pkcs7.serialize_certificates(chain[::-1], serialization.Encoding.PEM)),
    }
    name, data = files[form]
    (tmp_path / name).write_bytes(data)
    outcome = issuing.obtain([order], issuing.Surroundings(folder=str(tmp_path)), NOW)
    assert outcome.awaited == {}
    assert judging.read_chain(outcome.chains["public"]) == chain


def test_several_wrong_things_are_all_named_at_once(order, tmp_path, middle):
    wrong = middle.sign(key().public_key(), names=("other.example",), usage=ExtendedKeyUsageOID.CLIENT_AUTH)
    (tmp_path / "edge1.pem").write_text(pem(wrong))
    with pytest.raises(issuing.IssuingError) as refusal:
        issuing.obtain([order], issuing.Surroundings(folder=str(tmp_path)), NOW)
    assert refusal.value.code == "migration-certificate-refused"
    for code in ("certificate-key", "certificate-names", "certificate-usage", "certificate-incomplete"):
        assert code in str(refusal.value)


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 300, b"x" * 300_000, b"-----BEGIN PKCS7-----\nAAAA\n-----END PKCS7-----\n"]
)
@pytest.mark.parametrize("name", ["edge1.pem", "edge1.p7b"])
def test_rubbish_is_refused_with_a_sentence(order, tmp_path, content, name):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(issuing.IssuingError) as refusal:
        issuing.obtain([order], issuing.Surroundings(folder=str(tmp_path)), NOW)
    assert refusal.value.code == "migration-certificate-refused"


def lay(folder, **files):
    """Put chains into the folder: `pem=[...]` becomes edge1.pem."""
    for suffix, chain in files.items():
        (folder / f"edge1.{suffix}").write_text("".join(pem(item) for item in chain))


def ask(order, folder, standing=(), now=NOW):
    stands = "".join(pem(item) for item in standing)
    order = dataclasses.replace(order, standing=stands)
    return issuing.obtain([order], issuing.Surroundings(folder=str(folder)), now)


def signed(root, secret, start, end):
    return [root.sign(secret.public_key(), start=start * DAY, end=end * DAY)]


def test_the_chain_of_last_time_is_no_answer_to_the_request_of_today(order, root, secret, tmp_path):
    """It may have grown old, have ended, or lack a name that the document has got since."""
    for old in (
        signed(root, secret, -80, 10),
        signed(root, secret, -80, -1),
        [root.sign(secret.public_key(), names=("edge1.corp.example",))],
        [Authority("Not trusted any more").sign(secret.public_key())],
    ):
        lay(tmp_path, pem=old)
        outcome = ask(order, tmp_path, standing=old)
        assert outcome.chains == {}
        assert "edge1.pem stands on the host already" in outcome.awaited["public"]


def test_a_chain_that_ends_too_soon_is_awaited_anew_even_if_it_stands_nowhere(order, root, secret, tmp_path):
    lay(tmp_path, pem=signed(root, secret, -80, 10))
    outcome = ask(order, tmp_path)
    assert outcome.chains == {}
    assert "ends 2026-12-01, too soon" in outcome.awaited["public"]


@pytest.mark.parametrize("suffix", ["crt", "cer"])
def test_the_new_chain_is_taken_beside_the_old_one(order, root, secret, tmp_path, suffix):
    old, new = signed(root, secret, -80, 10), signed(root, secret, -1, 89)
    lay(tmp_path, pem=old, **{suffix: new})
    assert judging.read_chain(ask(order, tmp_path, standing=old).chains["public"]) == new


def test_of_several_good_chains_the_one_that_was_signed_last_is_taken(order, root, secret, tmp_path):
    short, long = signed(root, secret, -2, 60), signed(root, secret, -2, 365)
    lay(tmp_path, pem=short, crt=long)
    assert judging.read_chain(ask(order, tmp_path).chains["public"]) == long
    # Authorities shorten the life of what they sign: the newest may end before the one that it replaces.
    new = signed(root, secret, 0, 47)
    lay(tmp_path, cer=new)
    assert judging.read_chain(ask(order, tmp_path, standing=long).chains["public"]) == new


def test_a_bad_chain_beside_the_old_one_is_refused_for_what_it_is(order, root, secret, tmp_path):
    old = signed(root, secret, -80, 10)
    lay(tmp_path, pem=old, crt=[root.sign(key().public_key())])
    (tmp_path / "edge1.cer").write_bytes(b"x" * 300_000)
    with pytest.raises(issuing.IssuingError) as refusal:
        ask(order, tmp_path, standing=old)
    assert refusal.value.code == "migration-certificate-refused"
    said = str(refusal.value)
    assert "edge1.crt: [certificate-key]" in said
    assert "edge1.cer is larger" in said
    assert "edge1.pem" not in said
    lay(tmp_path, p7b=signed(root, secret, -1, 89))
    assert ask(order, tmp_path, standing=old).awaited == {}, "what is good is taken, whatever lies beside it"


def test_a_good_certificate_that_is_to_be_renewed_is_not_its_own_renewal(order, root, secret, tmp_path):
    """Hosts are renewed one after another, each when its chain has come: what was renewed is not awaited again."""
    old, new = signed(root, secret, -10, 80), signed(root, secret, 0, 90)
    lay(tmp_path, pem=old)
    for _again in range(2):
        assert "stands on the host already" in ask(order, tmp_path, standing=old).awaited["public"]
    lay(tmp_path, pem=new)
    assert judging.read_chain(ask(order, tmp_path, standing=old).chains["public"]) == new
    # It is on the host; the same command is run again, as another host's chain had not come.
    assert judging.read_chain(ask(order, tmp_path, standing=new).chains["public"]) == new
    assert [path.name for path in tmp_path.glob("*.renewing")] == ["edge1-public.renewing"]
    # When every host is done, the playbook ends the renewal; the next one is another.
    issuer_import.marker(order, tmp_path).unlink()
    assert "stands on the host already" in ask(order, tmp_path, standing=new).awaited["public"]


def test_the_same_leaf_with_what_its_chain_lacked_is_taken(order, middle, leaf, tmp_path):
    lay(tmp_path, pem=[leaf, middle.certificate])
    assert judging.read_chain(ask(order, tmp_path, standing=[leaf]).chains["public"]) == [leaf, middle.certificate]


def test_what_is_renewed_because_it_must_be_leaves_no_mark(order, root, secret, tmp_path):
    ask(order, tmp_path)
    ask(order, tmp_path, standing=signed(root, secret, -80, 10))
    assert [path.name for path in tmp_path.iterdir()] == ["edge1.csr"]


def test_an_order_says_what_the_host_has_now(order, root, secret, tmp_path, monkeypatch):
    stands = "".join(pem(item) for item in signed(root, secret, -80, 10))
    around = SimpleNamespace(
        wanted_host=lambda _host: {"certificates": {"public": WANTED, "link": WANTED}}, authorities={}
    )
    monkeypatch.setattr(certificate_issue.wanted, "roots", lambda *_: order.roots)
    monkeypatch.setattr(certificate_issue.ActionModule, "environment", lambda *_: around)
    monkeypatch.setattr(certificate_issue.ActionModule, "surroundings", lambda *_: None)
    monkeypatch.setattr(certificate_issue.ActionModule, "checking", False)
    placed = []
    monkeypatch.setattr(issuing, "obtain", lambda orders, *_: placed.extend(orders) or issuing.Outcome())
    seen = {"seen": {"gateway": {"certificates": {"public": {"pem": stands}, "link": None}}}}
    certificate_issue.ActionModule.__new__(certificate_issue.ActionModule).act(
        {"requests": {"public": order.request, "link": order.request}},
        {"inventory_hostname": "edge1", "hostvars": {"edge1": {"migration_seen": seen}}},
    )
    assert {each.name: each.standing for each in placed} == {"public": stands, "link": ""}


def test_other_certificates_than_the_public_one_carry_their_name(root, secret, tmp_path):
    order = issuing.Order("fe1", "link", WANTED, request(secret), pem(root.certificate))
    issuing.obtain([order], issuing.Surroundings(folder=str(tmp_path)), NOW)
    assert [path.name for path in tmp_path.iterdir()] == ["fe1-link.csr"]


# What stands


def test_a_certificate_of_a_public_authority_may_say_more_than_was_asked(root, middle, secret):
    rich = middle.sign(secret.public_key(), names=(*WANTED["names"], "www.corp.example"))
    seen = {"pem": pem(rich) + pem(middle.certificate), "public_key": judging.public_half(rich)}
    assert issuing.problem_of(seen, WANTED, pem(root.certificate), NOW) is None
    ours = {**WANTED, "issuer": "private_ca"}
    assert issuing.problem_of(seen, ours, pem(root.certificate), NOW) == "not signed by the configured authority"


def test_while_two_authorities_are_trusted_only_the_first_one_signs(secret):
    old, new = Authority("Link 1"), Authority("Link 2")
    wanted = {**WANTED, "issuer": "private_ca"}
    leaf = old.sign(secret.public_key())
    seen = {"pem": pem(leaf) + pem(old.certificate), "public_key": judging.public_half(leaf)}
    before = pem(old.certificate) + pem(new.certificate)
    after = pem(new.certificate) + pem(old.certificate)
    assert issuing.problem_of(seen, wanted, before, NOW) is None
    assert issuing.problem_of(seen, wanted, after, NOW) == "not signed by the configured authority"


def test_an_unknown_issuer_is_refused(order):
    strange = issuing.Order("edge1", "public", {**WANTED, "issuer": "magic"}, order.request, order.roots)
    with pytest.raises(issuing.IssuingError) as refusal:
        issuing.obtain([strange], issuing.Surroundings(), NOW)
    assert refusal.value.code == "migration-issuer"


def test_an_authority_whose_key_is_not_its_own_or_that_has_ended_does_not_sign(order, tmp_path):
    authority = Authority("CA")
    folder = authority.write(tmp_path / "ca")
    mine = issuing.Order("edge1", "public", {**WANTED, "issuer": "private_ca"}, order.request, order.roots)
    around = issuing.Surroundings(authorities={"public": str(folder)})
    assert judging.read_chain(issuing.obtain([mine], around, NOW).chains["public"])[1] == authority.certificate
    with pytest.raises(issuing.IssuingError, match="ended on"):
        issuing.obtain([mine], around, NOW + datetime.timedelta(days=4000))
    (folder / "key.pem").write_text(private_pem(key()))
    with pytest.raises(issuing.IssuingError, match="does not belong"):
        issuing.obtain([mine], around, NOW)


def test_an_account_key_is_made_once_and_only_its_owner_reads_it(tmp_path):
    directory = "https://acme.example/directory"
    first = issuer_acme.account_key(tmp_path / "acme", directory)
    again = issuer_acme.account_key(tmp_path / "acme", directory)
    assert first.private_numbers() == again.private_numbers()
    (file,) = (tmp_path / "acme").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_text("garbage")
    with pytest.raises(issuing.IssuingError) as refusal:
        issuer_acme.account_key(tmp_path / "acme", directory)
    assert refusal.value.code == "migration-acme"
