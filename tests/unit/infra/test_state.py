"""The state file: a Pulumi deployment of version 3 that survives whatever is written into it."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from standalone.crypter import SecretsError
from standalone.state import Resource, Snapshot, StateError, StateFile
from standalone.values import SECRET, SIGNATURE, Value


def _secret(value: Value) -> dict[str, Value]:
    return {SIGNATURE: SECRET, "value": value}


def _resource(name: str, **options: object) -> Resource:
    urn = f"urn:pulumi:s::p::lab:index:Thing::{name}"
    return Resource(urn=urn, type="lab:index:Thing", custom=True, id=f"id-{name}", **options)  # type: ignore[arg-type]


def test_it_is_a_deployment_of_version_3(tmp_path: Path) -> None:
    file = StateFile(tmp_path, "s")
    file.save(Snapshot([_resource("a", inputs={"x": [1, "two", None]})], [("creating", _resource("b"))]))
    whole = json.loads(file.path.read_text())
    assert whole["version"] == 3
    assert whole["deployment"]["manifest"]["magic"]
    assert whole["deployment"]["resources"][0]["id"] == "id-a"
    assert whole["deployment"]["pending_operations"][0]["type"] == "creating"
    assert file.path.stat().st_mode & 0o777 == 0o600


def test_what_was_saved_is_what_is_loaded(tmp_path: Path) -> None:
    file = StateFile(tmp_path, "s")
    below = _resource("below", protect=True, retain_on_delete=True)
    above = _resource(
        "above", dependencies=[below.urn], property_dependencies={"x": [below.urn]}, deleted_with=below.urn
    )
    file.save(Snapshot([above, below], []))
    loaded = StateFile(tmp_path, "s").load()
    assert loaded.resources == [below, above], "dependencies must come first"


def test_references_to_what_is_gone_are_dropped(tmp_path: Path) -> None:
    file = StateFile(tmp_path, "s")
    file.save(Snapshot([_resource("a", dependencies=["urn:gone"], property_dependencies={"x": ["urn:gone"]})], []))
    (only,) = file.load().resources
    assert (only.dependencies, only.property_dependencies) == ([], {"x": []})


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', '{"version": 3}', '{"version": 2, "deployment": {}}'])
def test_anything_else_is_refused_by_name(tmp_path: Path, text: str) -> None:
    file = StateFile(tmp_path, "s")
    file.path.write_text(text)
    with pytest.raises(StateError, match=r"s\.json"):
        file.load()


def test_secrets_are_encrypted_under_the_passphrase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "correct horse")
    StateFile(tmp_path, "s").save(Snapshot([_resource("a", outputs={"password": _secret("battery staple")})], []))
    text = (tmp_path / "s.json").read_text()
    assert "battery staple" not in text
    assert StateFile(tmp_path, "s").load().resources[0].outputs == {"password": _secret("battery staple")}
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "wrong")
    with pytest.raises(SecretsError, match="does not fit"):
        StateFile(tmp_path, "s").load()


def test_without_a_passphrase_a_secret_is_refused_rather_than_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE", raising=False)
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE_FILE", raising=False)
    file = StateFile(tmp_path, "s")
    with pytest.raises(SecretsError, match="PULUMI_CONFIG_PASSPHRASE"):
        file.save(Snapshot([_resource("a", outputs={"password": _secret("battery staple")})], []))
    assert not file.path.exists()


def test_the_state_before_the_last_write_is_kept_and_named_when_the_present_one_is_cut_off(tmp_path: Path) -> None:
    file = StateFile(tmp_path, "s")
    file.save(Snapshot([_resource("a")]))
    file.save(Snapshot([_resource("a"), _resource("b")]))
    file.path.write_text(file.path.read_text()[:100])
    with pytest.raises(StateError, match=r"infra-state.*the one before it is .*s\.json\.previous: mv it there"):
        file.load()
    file.previous.replace(file.path)
    assert [item.name for item in file.load().resources] == ["a"]
    assert file.path.stat().st_mode & 0o777 == 0o600


def test_a_second_run_is_told_who_holds_the_stack(tmp_path: Path) -> None:
    file = StateFile(tmp_path, "s")
    with file.locked(), pytest.raises(StateError, match="process"), StateFile(tmp_path, "s").locked():
        pass


def test_a_killed_holder_lets_go(tmp_path: Path) -> None:
    program = textwrap.dedent("""
        import sys, pathlib
        from standalone.state import StateFile
        with StateFile(pathlib.Path(sys.argv[1]), "s").locked():
            print("held", flush=True)
            sys.stdin.read()
    """)
    pulumi_directory = Path(__file__).resolve().parents[3] / "pulumi"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=pulumi_directory,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        holder.kill()
        holder.wait()
    with StateFile(tmp_path, "s").locked():
        pass
