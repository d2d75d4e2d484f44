"""`xmppgw check`, `plan` and `schema` as people and pipelines call them: exit status, forms, never a traceback."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.federation.documents import ROOT, SMALL, SMALL_FILE, changed, with_partners

from xmppgw.cli import main
from xmppgw.federation import document_schema

Capture = pytest.CaptureFixture[str]


def write(folder: Path, text: str | bytes) -> str:
    path = folder / "federation.yml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)


def run(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "xmppgw.cli", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)


class TestCheck:
    def test_a_good_document(self, capsys: Capture) -> None:
        assert main(["check", "--document", str(SMALL_FILE)]) == 0
        assert "fine" in capsys.readouterr().out

    def test_a_good_document_as_json_is_an_empty_list(self, capsys: Capture) -> None:
        assert main(["check", "--document", str(SMALL_FILE), "--format", "json"]) == 0
        assert json.loads(capsys.readouterr().out) == []

    def test_a_bad_document_as_json(self, tmp_path: Path, capsys: Capture) -> None:
        path = write(tmp_path, changed(("version: 1", "version: 2"), ("scenario:", "scenarios:")))
        assert main(["check", "--document", path, "--format", "json"]) == 2
        found = json.loads(capsys.readouterr().out)
        assert [problem["code"] for problem in found] == ["wrong-value", "unknown-key"]
        assert all(set(p) == {"code", "severity", "file", "line", "path", "message", "hint"} for p in found)
        assert all(p["file"] == path for p in found)

    def test_a_bad_document_as_text_names_file_and_line(self, tmp_path: Path, capsys: Capture) -> None:
        path = write(tmp_path, changed(("version: 1", "version: 2")))
        assert main(["check", "--document", path]) == 2
        printed = capsys.readouterr().out
        assert f"{path}:4: error [wrong-value] federation.version: found `2`, expected 1" in printed
        assert "1 error" in printed

    def test_markdown_cells_cannot_be_broken_out_of(self, tmp_path: Path, capsys: Capture) -> None:
        path = write(tmp_path, changed(("scenario: replace", "scenario: 'a | b'"), ("version: 1", "'k|`y': 1")))
        assert main(["check", "--document", path, "--format", "markdown"]) == 2
        rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
        assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {7}

    def test_a_guard_refuses(self, tmp_path: Path, capsys: Capture) -> None:
        path = write(tmp_path, changed(("single_edge_fqdn: false", "single_edge_fqdn: true")))
        assert main(["check", "--document", path]) == 1
        assert "refused [migration-r7]" in capsys.readouterr().out
        assert main(["plan", "--document", path]) == 1

    def test_a_warning_is_no_failure(self, tmp_path: Path, capsys: Capture) -> None:
        path = write(tmp_path, changed(("platform: other", "platform: microsoft")))
        assert main(["check", "--document", path]) == 0
        assert "1 warning" in capsys.readouterr().out


class TestPlan:
    def test_json(self, capsys: Capture) -> None:
        assert main(["plan", "--document", str(SMALL_FILE), "--format", "json"]) == 0
        plan = json.loads(capsys.readouterr().out)
        assert set(plan) == {
            "schema", "document", "scenario", "sip_domains", "legacy_domains", "notices", "certificates", "ports",
            "dns", "users", "noticed", "partners", "problems",
        }  # fmt: skip
        first, second = plan["partners"]
        assert (first["domain"], first["allowed"], first["expected"], first["outcome"]) == (
            "partner1.example",
            ["S"],
            "S",
            "unproved",
        )
        assert (second["allowed"], second["expected"]) == (["S", "T"], "S")
        assert first["why"]
        now, after = ({(r["name"], r["type"]): r["values"] for r in plan["dns"][when]} for when in ("now", "after"))
        srv = ("_xmpp-server._tcp.corp.example", "SRV")
        assert (now[srv], after[srv]) == (["10 10 5269 legacy1.corp.example."], ["10 10 5269 edge1.corp.example."])
        assert {"tcp", "udp"} == {rule["transport"] for rule in plan["ports"]}
        assert all(rule["direction"] for rule in plan["ports"])

    @pytest.mark.parametrize("form", ["text", "markdown"])
    def test_for_people(self, form: str, capsys: Capture) -> None:
        assert main(["plan", "--document", str(SMALL_FILE), "--format", form]) == 0
        printed = capsys.readouterr().out
        for part in (
            "Certificates",
            "Ports",
            "DNS, now and after",
            "Partners",
            "23456",
            "edge1.corp.example",
            "S,T",
            "legacy1.corp.example.",
        ):
            assert part in printed

    @pytest.mark.parametrize("form", ["text", "markdown"])
    def test_what_stops_working_stands_on_the_first_line(self, form: str, tmp_path: Path, capsys: Capture) -> None:
        path = write(tmp_path, changed(("platform: other", "platform: microsoft")))
        assert main(["plan", "--document", path, "--format", form]) == 0
        first = capsys.readouterr().out.splitlines()[0]
        for part in ("TEXT ONLY", "presence and contacts stop working", "pool-target.corp.example", "accept=text-only"):
            assert part in first

    def test_an_accepted_interruption_and_coexistence_are_said_first(self, tmp_path: Path, capsys: Capture) -> None:
        path = write(
            tmp_path,
            changed(
                ("scenario: replace", "scenario: coexist"),
                (
                    "    - name: corp.example\n",
                    "    - name: corp.example\n    - {name: b.corp.example, owner: legacy}\n",
                ),
                (
                    "  access_policies:",
                    "  users: {exceptions: [{user: a@corp.example, reason: interruption, by: Ann, minutes: 90}]}\n"
                    "  access_policies:",
                ),
            ),
        )
        assert main(["plan", "--document", path, "--format", "json"]) == 0
        plan = json.loads(capsys.readouterr().out)
        assert [notice.partition(":")[0] for notice in plan["notices"]] == ["COEXIST", "INTERRUPTED"]
        assert "a@corp.example" in plan["notices"][1]
        assert (plan["sip_domains"], plan["legacy_domains"]) == (["corp.example"], ["b.corp.example"])

    def test_each_partner_has_its_support_line(self, tmp_path: Path, capsys: Capture) -> None:
        text = changed(
            ("{domain: partner1.example,", "{domain: partner1.example, software: Prosody, version: '0.12.3',"),
            (
                "{domain: partner2.example,",
                "{domain: partner2.example, software: Openfire, vendor_contact: help@v.example,",
            ),
        )
        assert main(["plan", "--document", write(tmp_path, text), "--format", "json"]) == 0
        found = [partner["support"] for partner in json.loads(capsys.readouterr().out)["partners"]]
        assert [one["basis"] for one in found] == ["tested by us", "ask the vendor"]
        assert "help@v.example" in found[1]["line"]

    def test_only_the_three_summaries(self, capsys: Capture) -> None:
        assert main(["plan", "--document", str(SMALL_FILE), "--format", "json", "--summaries"]) == 0
        assert set(json.loads(capsys.readouterr().out)) == {"certificates", "ports", "dns"}
        assert main(["plan", "--document", str(SMALL_FILE), "--format", "markdown", "--summaries"]) == 0
        headings = re.findall(r"^## (.*)$", capsys.readouterr().out, re.MULTILINE)
        assert headings == ["Certificates", "Ports", "DNS, now and after"]

    def test_the_same_document_gives_the_same_bytes(self) -> None:
        outputs = {run("plan", "--format", "json").stdout for _ in range(2)}
        assert len(outputs) == 1

    def test_a_bad_document_is_said_on_standard_error(self, tmp_path: Path, capsys: Capture) -> None:
        assert main(["plan", "--document", write(tmp_path, "federation: []\n")]) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert "wrong-type" in printed.err

    def test_a_bad_document_as_json_is_the_list_of_its_problems(self, tmp_path: Path, capsys: Capture) -> None:
        assert main(["plan", "--document", write(tmp_path, "federation: []\n"), "--format", "json"]) == 2
        assert [problem["code"] for problem in json.loads(capsys.readouterr().out)] == ["wrong-type"]


USERS = (
    {"user": "alice@corp.example", "pool": "pool-legacy.corp.example"},
    {"user": "bob@corp.example", "pool": "Pool-Legacy.corp.example", "policy": "Closed"},
    {"user": "carol@corp.example", "pool": "pool-target.corp.example"},
    {"user": "dave@corp.example", "pool": "pool-legacy.corp.example", "hosting": "cloud"},
    {"user": "eve@corp.example", "pool": "sba.corp.example", "survivable_branch": True},
    {"user": "frank@elsewhere.example", "pool": "pool-legacy.corp.example", "blank_name": True, "enabled": False},
)


class TestUsers:
    """The users' table beside the document is counted, and a bad one makes the document unusable."""

    DOCUMENT = changed(
        (
            "  access_policies:\n",
            "  users:\n    export: users.table\n"
            "    exceptions: [{user: dave@corp.example, reason: cloud}]\n"
            "    waves: {pilot: [alice@corp.example], size: 1}\n"
            "  access_policies:\n    users: [{name: Closed}]\n",
        )
    )

    def plan(self, folder: Path, table: str | None, form: str, verb: str = "plan") -> int:
        if table is not None:
            (folder / "users.table").write_text(table)
        return main([verb, "--document", write(folder, self.DOCUMENT), "--format", form])

    def test_counts(self, tmp_path: Path, capsys: Capture) -> None:
        assert self.plan(tmp_path, json.dumps({"schema": 1, "users": USERS}), "json") == 0
        users = json.loads(capsys.readouterr().out)["users"]
        assert users["counts"] == {
            "total": 6, "to_move": 2, "on_target_pool": 1, "with_xmpp": 2, "in_cloud": 1, "disabled": 1,
            "survivable_branch": 1, "blank_names": 1, "of_foreign_domains": 1,
        }  # fmt: skip
        assert users["waves"]["at_least"] == 2
        assert [one["reason"] for one in users["exceptions"]] == ["cloud"]

    def test_who_is_of_a_branch_does_not_move(self, tmp_path: Path, capsys: Capture) -> None:
        marked = [{**user, "survivable_branch": True} for user in USERS]
        assert self.plan(tmp_path, json.dumps({"schema": 1, "users": marked}), "json") == 0
        assert json.loads(capsys.readouterr().out)["users"]["counts"]["to_move"] == 0

    def test_for_people(self, tmp_path: Path, capsys: Capture) -> None:
        assert self.plan(tmp_path, json.dumps({"schema": 1, "users": USERS}), "text") == 0
        printed = capsys.readouterr().out
        for pattern in (r"to move in step 3 +2 +2 waves or more", r"exceptions: cloud +1", r"names with blanks.* 1 "):
            assert re.search(pattern, printed), printed

    @pytest.mark.parametrize("verb", ["check", "plan"])
    @pytest.mark.parametrize(
        ("table", "code"),
        [
            (None, "users-unreadable"),
            ("", "users-cut-off"),
            ('{"schema": 1, "users": [{"user": "a@corp.example"', "users-cut-off"),
            ('{"schema": 2, "users": []}', "users-schema"),
            ('{"schema": 1, "users": [{"user": "b@corp.example"}, {"user": "a@corp.example"}]}', "users-order"),
        ],
    )
    def test_a_bad_table(self, verb: str, table: str | None, code: str, tmp_path: Path, capsys: Capture) -> None:
        assert self.plan(tmp_path, table, "json", verb) == 2
        (problem,) = json.loads(capsys.readouterr().out)
        assert (problem["code"], problem["severity"]) == (code, "error")
        assert problem["file"] == str(tmp_path / "users.table")
        assert problem["hint"]


LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10)
)
BAD = {
    "nothing": b"",
    "utf-16": SMALL.encode("utf-16"),
    "binary": bytes(range(256)) * 10,
    "tabs": SMALL.replace("  ", "\t").encode(),
    "laughs": LAUGHS.encode(),
    "deep": b"[" * 200_000,
    "fifty megabytes": b"federation: {}\n#" + b"x" * 50 * 1024 * 1024,
}  # fmt: skip


@pytest.mark.parametrize("verb", ["check", "plan"])
@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("name", BAD)
def test_bad_input_ends_in_status_2(verb: str, form: str, name: str, tmp_path: Path, capsys: Capture) -> None:
    assert main([verb, "--document", write(tmp_path, BAD[name]), "--format", form]) == 2
    printed = capsys.readouterr()
    assert "Traceback" not in printed.out + printed.err
    if form == "json":
        assert json.loads(printed.out)


def test_a_missing_file(capsys: Capture) -> None:
    assert main(["check", "--document", "/nowhere/federation.yml", "--format", "json"]) == 2
    assert [problem["code"] for problem in json.loads(capsys.readouterr().out)] == ["file-missing"]


def test_a_directory(tmp_path: Path, capsys: Capture) -> None:
    assert main(["plan", "--document", str(tmp_path)]) == 2
    assert "file-not-regular" in capsys.readouterr().err


class TestCommandLine:
    def test_in_a_clone_the_lab_document_is_the_default(self) -> None:
        done = run("check")
        assert (done.returncode, done.stderr) == (0, "")

    def test_elsewhere_a_document_must_be_named(self, tmp_path: Path) -> None:
        done = run("check", cwd=tmp_path)
        assert done.returncode == 2
        assert "--document PATH" in done.stderr

    @pytest.mark.parametrize(
        "arguments",
        [
            [],
            ["nonsense"],
            ["check", "--format", "xml"],
            ["plan", "extra"],
            ["partner"],
            ["partner", "letter"],
            ["inspect", "smtp", "f"],
        ],
    )
    def test_wrong_usage_is_bad_input(self, arguments: list[str]) -> None:
        done = run(*arguments)
        assert done.returncode == 2
        assert "usage: xmppgw" in done.stderr
        assert "Traceback" not in done.stderr

    def test_help_lists_the_verbs_and_the_exit_statuses(self) -> None:
        printed = run("--help").stdout
        for verb in ("check", "plan", "partner", "schema", "inspect", "edge", "frontend", "status", "drain"):
            assert re.search(rf"^    {verb}\b", printed, re.MULTILINE), printed
        assert "0 fine, 1 refused, 2 bad input" in printed

    def test_schema(self, capsys: Capture) -> None:
        assert main(["schema"]) == 0
        assert capsys.readouterr().out == document_schema()

    def test_a_reader_that_goes_away_is_no_error(self, tmp_path: Path) -> None:
        path = write(tmp_path, with_partners(2000))
        done = subprocess.run(
            ["bash", "-c", f"set -o pipefail; '{sys.executable}' -m xmppgw.cli plan --document '{path}' | head -1"],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.stderr == ""
        assert done.stdout.startswith("Plan of ")

    @pytest.mark.parametrize("verb", ["edge", "frontend"])
    def test_a_daemon_without_its_configuration_is_bad_input(self, verb: str) -> None:
        done = run(verb, "--config", "/nowhere.json", "--check-config")
        assert done.returncode == 2
        assert "Traceback" not in done.stderr

    def test_status_without_a_daemon_is_bad_input(self, tmp_path: Path) -> None:
        done = run("status", "--socket", str(tmp_path / "none.sock"))
        assert done.returncode == 2
        assert "Traceback" not in done.stderr

    def test_a_verb_that_needs_no_model_does_not_load_it(self) -> None:
        program = "import contextlib, sys\nfrom xmppgw.cli import main\n"
        program += "with contextlib.suppress(SystemExit): main(['--help'])\n"
        program += "sys.exit(any(name in sys.modules for name in ('pydantic', 'yaml', 'asyncio')))"
        assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=False).returncode == 0


def test_ten_thousand_partners_are_checked_and_planned(tmp_path: Path) -> None:
    """How long it takes is for `make bench` to say."""
    path = write(tmp_path, with_partners(10_000))
    assert run("check", "--document", path).returncode == 0
    done = run("plan", "--document", path, "--format", "json")
    assert len(json.loads(done.stdout)["partners"]) == 10_002
