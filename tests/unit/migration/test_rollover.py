"""An authority is replaced in phases: at no moment does a host meet a certificate that it does not trust."""

import shutil

import pytest
from ansible_collections.xmppgw.migration.plugins.plugin_utils import authority_rollover as rollover
from ansible_collections.xmppgw.migration.plugins.plugin_utils import certificate_judging as judging
from ansible_collections.xmppgw.migration.plugins.plugin_utils import issuer_private_ca, wanted
from tests.unit.migration.certificate_world import NOW, WANTED, Authority, key, request


@pytest.fixture
def folder(tmp_path):
    return Authority("Link CA").write(tmp_path / "link")


def trusted(folder):
    return wanted.authority_certificate({"link": str(folder)}, "link")


def signed(folder):
    return issuer_private_ca.issue(request(key()), WANTED, issuer_private_ca.load_authority(folder), NOW)


def good(chain, roots):
    return not judging.examine(chain, WANTED, roots, NOW)


def test_whatever_was_signed_before_or_after_a_phase_is_trusted_on_both_sides_of_it(folder):
    steps = [lambda: rollover.begin(folder, NOW), lambda: rollover.switch(folder), lambda: rollover.finish(folder)]
    before_roots, before_chain = trusted(folder), signed(folder)
    first_chain, phases = before_chain, [rollover.phase_of(folder)]
    for step in steps:
        assert step()
        roots, chain = trusted(folder), signed(folder)
        # Hosts follow one by one: some trust the old state, some the new; certificates are changed only after that.
        assert good(before_chain, before_roots)
        if len(phases) < 3:
            assert good(before_chain, roots)
        assert good(chain, roots)
        assert good(chain, before_roots), "somebody who has not followed yet would refuse the new certificate"
        before_roots, before_chain = roots, chain
        phases.append(rollover.phase_of(folder))
        assert not step(), "a phase that was done is not done again"
    assert phases == ["settled", "both trusted", "successor signs", "settled"]
    assert not good(first_chain, trusted(folder)), "the old authority must not be trusted any more"
    assert sorted(path.name for path in folder.iterdir()) == ["ca.pem", "key.pem"]


def test_a_switch_that_was_killed_at_any_point_is_finished_by_the_next_one(folder, tmp_path, monkeypatch):
    rollover.begin(folder, NOW)
    old, successor = trusted(folder), (folder / "next/ca.pem").read_text()

    class KilledError(Exception):
        pass

    real = rollover.os.fsync
    for survived in range(4):
        copy = tmp_path / f"killed-{survived}"
        shutil.copytree(folder, copy)
        left = [survived]

        def fsync(descriptor, left=left):
            if not left[0]:
                raise KilledError
            left[0] -= 1
            real(descriptor)

        monkeypatch.setattr(rollover.os, "fsync", fsync)
        with pytest.raises(KilledError):
            rollover.switch(copy)
        monkeypatch.setattr(rollover.os, "fsync", real)
        # Meanwhile hosts are told to trust both, whatever is asked.
        assert sorted(judging.read_chain(trusted(copy)), key=str) == sorted(judging.read_chain(old), key=str)
        assert rollover.switch(copy)
        assert rollover.phase_of(copy) == "successor signs"
        assert (copy / "ca.pem").read_text() == successor
        assert good(signed(copy), trusted(copy))


def test_the_successor_is_another_authority_with_another_name(folder):
    present, _key = issuer_private_ca.load_authority(folder)
    rollover.begin(folder, NOW)
    second, _key = issuer_private_ca.load_authority(folder / "next")
    assert second.subject.rfc4514_string() == "CN=Link CA #2"
    assert judging.public_half(second) != judging.public_half(present)
    rollover.switch(folder)
    rollover.finish(folder)
    rollover.begin(folder, NOW)
    third, _key = issuer_private_ca.load_authority(folder / "next")
    assert third.subject.rfc4514_string() == "CN=Link CA #3"
    assert (folder / "next/key.pem").stat().st_mode & 0o777 == 0o600
