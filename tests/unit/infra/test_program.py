"""The standalone engine with a real program and a real plug-in process, over gRPC; its resources are files."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from standalone import run
from standalone.__main__ import main
from standalone.state import StateFile
from standalone.values import UNKNOWN

pytestmark = pytest.mark.heavy

PLUGIN = '''
import asyncio, json, os, sys
from pathlib import Path
from pulumi.provider.experimental import provider as sdk, server
from pulumi.provider.experimental.property_value import PropertyValue

STORE = Path(os.environ["TEST_STORE"])

class Files(sdk.Provider):
    """A resource is a file named by its id, holding `text`."""
    async def check(self, request):
        return sdk.CheckResponse(inputs=request.new_inputs)
    async def diff(self, request):
        old, new = request.old_state.get("text"), request.new_inputs.get("text")
        return sdk.DiffResponse(changes=old != new, diffs=["text"] if old != new else [])
    async def create(self, request):
        if request.preview:
            return sdk.CreateResponse("", dict(request.properties))
        if request.properties["text"].value == "slow":
            (STORE / request.name).write_text("slow")
            (STORE.parent / "begun").touch()
            while not (STORE.parent / "go").exists():
                await asyncio.sleep(0.02)
        if request.properties["text"].value == "deadly":
            (STORE / request.name).write_text("half")
            os._exit(7)
        if request.properties["text"].value == "broken":
            raise Exception("the disk is full")
        (STORE / request.name).write_text(str(request.properties["text"].value))
        path = PropertyValue(str(STORE / request.name))
        return sdk.CreateResponse(request.name, {**request.properties, "path": path})
    async def update(self, request):
        if not request.preview:
            (STORE / request.resource_id).write_text(str(request.news["text"].value))
        return sdk.UpdateResponse({**request.news, "path": request.olds["path"]})
    async def read(self, request):
        if not (STORE / request.resource_id).exists():
            return sdk.ReadResponse()
        return sdk.ReadResponse(request.resource_id, request.properties, request.inputs)
    async def delete(self, request):
        (STORE / request.name).unlink(missing_ok=True)  # the id is empty if the creation was cut off

server.main(sys.argv[1:], "1.0.0", Files())
'''

HEAD = """
import pulumi

class File(pulumi.CustomResource):
    path: pulumi.Output[str]
    def __init__(self, name, text, opts=None, package="files"):
        super().__init__(f"{package}:index:File", name, {"text": text, "path": None}, opts)
"""


class Desk:
    """A project in a directory, and the verbs on it."""

    def __init__(self, directory: Path) -> None:
        self.store = directory / "store"
        self.where = run.Where(directory / "project", "dev", directory / "state")
        for path in (self.store, self.where.program / "plugin"):
            path.mkdir(parents=True)
        (self.where.program / "Pulumi.yaml").write_text(
            "name: small\nruntime: python\nplugins: {providers: [{name: files, path: ./plugin}]}\n"
        )
        (self.where.program / "Pulumi.dev.yaml").write_text("config: {greeting: hello, structured: {a: [1, two]}}\n")
        (self.where.program / "plugin" / "PulumiPlugin.yaml").write_text("runtime: python\n")
        (self.where.program / "plugin" / "__main__.py").write_text(PLUGIN)

    def program(self, text: str) -> None:
        (self.where.program / "__main__.py").write_text(HEAD + textwrap.dedent(text))

    def up(self, *, preview: bool = False, refresh: bool | None = None) -> run.Result:
        return run.up(self.where, preview=preview, refresh=refresh)

    def files(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in self.store.iterdir()}


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    made = Desk(tmp_path)
    monkeypatch.setenv("TEST_STORE", str(made.store))
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "passphrase")
    return made


def test_a_program_is_run_with_its_configuration_and_outputs(desk: Desk) -> None:
    desk.program("""
        config = pulumi.Config()
        first = File("first", config.require("greeting"))
        second = File("second", first.path.apply(lambda path: f"beside {path}"))
        pulumi.export("paths", [first.path, second.path])
        pulumi.export("structured", config.require_object("structured"))
    """)
    result = desk.up()
    assert result.errors == ()
    assert result.summary == {"create": 3}
    assert desk.files() == {"first": "hello", "second": f"beside {desk.store / 'first'}"}
    expected = {"paths": [str(desk.store / name) for name in ("first", "second")], "structured": {"a": [1, "two"]}}
    assert run.outputs(desk.where) == expected
    assert desk.up().summary == {"same": 3}
    (desk.store / "first").unlink()
    assert desk.up(refresh=True).summary == {"create": 1, "same": 2}
    assert run.destroy(desk.where).summary == {"delete": 3}
    assert desk.files() == {}


def test_the_real_engine_would_find_its_default_provider(desk: Desk) -> None:
    desk.program("""File("only", "x")""")
    desk.up()
    resources = {item.name: item for item in StateFile(desk.where.state, "dev").load().resources}
    provider = resources["default"]
    assert provider.type == "pulumi:providers:files"
    assert resources["only"].provider == f"{provider.urn}::{provider.id}"


def test_a_preview_survives_unknowns_and_touches_nothing(desk: Desk) -> None:
    desk.program("""
        first = File("first", "hello")
        File("second", first.path.apply(lambda path: f"beside {path}"))
    """)
    result = desk.up(preview=True)
    assert (result.errors, result.summary) == ((), {"create": 3})
    assert result.engine is not None
    (second,) = [item for item in result.engine.resources() if item.name == "second"]
    assert second.inputs["text"] == UNKNOWN
    assert desk.files() == {}
    assert not desk.where.state.exists()


def test_secrets_stay_secret_in_state_and_outputs(desk: Desk) -> None:
    desk.program("""
        made = File("key", pulumi.Output.secret("swordfish"))
        pulumi.export("text", pulumi.Output.secret("swordfish").apply(lambda text: text.upper()))
    """)
    result = desk.up()
    assert result.errors == ()
    assert desk.files() == {"key": "swordfish"}
    state = (desk.where.state / "dev.json").read_text()
    assert "swordfish" not in state.lower()
    assert run.outputs(desk.where) == {"text": "[secret]"}
    assert run.outputs(desk.where, show_secrets=True) == {"text": "SWORDFISH"}


@pytest.mark.parametrize(
    ("program", "named"),
    [
        ('File("a", "x", pulumi.ResourceOptions(aliases=[pulumi.Alias(name="b")]))', "aliases"),
        ('File("a", "x", pulumi.ResourceOptions(import_="existing"))', "import"),
        ('File("a", "x", package="elsewhere")', "no provider for package 'elsewhere'"),
        ('pulumi.StackReference("organization/other/stack")', "pulumi:pulumi:StackReference"),
        ('pulumi.runtime.invoke("files:index:find", {})', "function files:index:find"),
        (
            "class P(pulumi.ProviderResource):\n    pass\n"
            'File("a", "x", pulumi.ResourceOptions(provider=P("files", "explicit", {})))',
            "explicit providers",
        ),
        (
            'File("a", "x", pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(create="1m")))',
            "custom timeouts",
        ),
        ('File("a", "x", pulumi.ResourceOptions(ignore_changes=["text.deep"]))', "nested ignore_changes"),
        (
            'pulumi.CustomResource("files:index:File", "a", {}, pulumi.ResourceOptions(id="there"))',
            "reading the existing resource files:index:File there",
        ),
        (
            "class C(pulumi.ComponentResource):\n    pass\n"
            'C("files:index:Group", "a", {}, pulumi.ResourceOptions(), True)',
            "components served by a provider",
        ),
        (
            "import asyncio\n"
            'pulumi.Output.from_input(asyncio.ensure_future(pulumi.runtime.call("files:index:f", {}).future()))',
            "method files:index:f",
        ),
        (
            'File("a", "x", pulumi.ResourceOptions(plugin_download_url="https://plugins.example"))',
            "plug-ins from elsewhere",
        ),
        ('File("a", "x", pulumi.ResourceOptions(replacement_trigger="now"))', "replacement_trigger"),
        ('pulumi.require_pulumi_version(">=3")', "no version of Pulumi"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(desk: Desk, program: str, named: str) -> None:
    desk.program("\n" + program)
    result = desk.up()
    assert any(named in error for error in result.errors), result.errors
    assert desk.files() == {}


@pytest.mark.parametrize(
    ("program", "named"),
    [
        (
            'hook = pulumi.ResourceHook("h", lambda args: None)\n'
            'File("a", "x", pulumi.ResourceOptions(hooks=pulumi.ResourceHookBinding(before_create=[hook])))',
            "resource hooks",
        ),
        ("pulumi.runtime.register_resource_transform(lambda args: None)", "transforms"),
        ('b = File("b", "x")\nFile("a", "x", pulumi.ResourceOptions(replace_with=[b]))', "ReplaceWith"),
    ],
)
def test_what_the_sdk_takes_for_an_old_engine_is_refused_by_name_without_a_traceback(
    desk: Desk, capfd: pytest.CaptureFixture[str], program: str, named: str
) -> None:
    desk.program("\n" + program)
    assert desk.up().errors == ("the program ended with status 1",)
    said = capfd.readouterr().err
    assert f"not supported by the standalone engine: {named}" in said
    assert "Traceback" not in said
    assert "a" not in desk.files()


def test_a_secret_without_a_passphrase_is_the_operators_problem(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE")
    desk.program("""File("key", pulumi.Output.secret("swordfish"))""")
    result = desk.up()
    assert any("PULUMI_CONFIG_PASSPHRASE" in error for error in result.errors), result.errors
    assert "swordfish" not in "".join(path.read_text() for path in desk.where.state.glob("*"))


def test_a_provider_that_fails_is_quoted_and_the_rest_is_kept(desk: Desk) -> None:
    desk.program("""
        first = File("first", "x")
        File("second", "broken", pulumi.ResourceOptions(depends_on=[first]))
    """)
    result = desk.up()
    assert result.errors == ("files:index:File second: the disk is full",)
    assert desk.files() == {"first": "x"}
    desk.program("""File("first", "x")""")
    assert desk.up().errors == ()


def test_a_provider_that_dies_in_mid_create_is_one_message_and_nothing_is_orphaned(desk: Desk) -> None:
    desk.program("""
        first = File("first", "x")
        File("second", "deadly", pulumi.ResourceOptions(depends_on=[first]))
    """)
    result = desk.up()
    (error,) = result.errors
    assert "[infra-provider] the plug-in plugin ended with status 7 during Create" in error
    assert "run `up` again" in error
    assert desk.files() == {"first": "x", "second": "half"}
    desk.program("""File("first", "x")""")
    assert desk.up().errors == ()
    assert desk.files() == {"first": "x"}, "what was half made is taken away, though the program wants it no more"
    assert StateFile(desk.where.state, "dev").load().pending == []


def test_the_second_of_two_ups_at_once_is_refused_and_changes_nothing(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.program("""File("first", "slow")""")
    options = ["--stack", "dev", "--program", str(desk.where.program), "--state", str(desk.where.state)]
    home = Path(run.__file__).resolve().parents[1]
    with subprocess.Popen([sys.executable, "-m", "standalone", "up", *options], cwd=home) as first:
        try:
            limit = time.monotonic() + 60
            while not (desk.store.parent / "begun").exists():
                assert time.monotonic() < limit, "the first run did not begin"
                time.sleep(0.02)
            assert main(["up", *options]) == 1
            assert f"[infra-locked] the stack is being changed by process {first.pid}" in capsys.readouterr().err
        finally:
            (desk.store.parent / "go").touch()
        assert first.wait(60) == 0
    assert desk.up().summary == {"same": 2}


def test_a_state_that_was_cut_off_is_refused_and_left_alone(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.program("""File("first", "x")""")
    desk.up()
    path = desk.where.state / "dev.json"
    path.write_text(path.read_text()[:200])
    options = ["--stack", "dev", "--program", str(desk.where.program), "--state", str(desk.where.state)]
    for verb in ("up", "destroy", "refresh", "outputs"):
        assert main([verb, *options]) == 1
        assert "[infra-state]" in capsys.readouterr().err
    assert desk.files() == {"first": "x"}
    assert len(path.read_text()) == 200


def test_a_program_that_fails_deletes_nothing(desk: Desk, capfd: pytest.CaptureFixture[str]) -> None:
    desk.program("""File("first", "x")""")
    desk.up()
    desk.program("""raise RuntimeError("no such luck")""")
    assert desk.up().errors == ("the program ended with status 1",)
    assert "no such luck" in capfd.readouterr().err
    assert desk.files() == {"first": "x"}


def test_the_command_reports_what_it_did(desk: Desk, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    desk.program("""File("first", "x")""")
    options = ["--stack", "dev", "--program", str(desk.where.program), "--state", str(desk.where.state)]
    assert main(["up", *options, "--json"]) == 0
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last["summary"] == {"create": 2}
    assert main(["preview", *options, "--output", str(tmp_path / "preview")]) == 0
    report = json.loads((tmp_path / "preview" / "dev.json").read_text())
    assert set(report) == {"stack", "engine", "resources", "policies", "ports", "records"}
    assert [item["name"] for item in report["resources"]] == ["first", "small-dev"]


@pytest.mark.parametrize("verb", ["up", "preview", "refresh", "destroy", "outputs"])
def test_an_unknown_stack_is_one_message_with_those_that_there_are(
    desk: Desk, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    options = ["--program", str(desk.where.program), "--state", str(desk.where.state)]
    assert main([verb, "--stack", "absent", *options]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("error: [infra-stack] there is no stack 'absent'")
    assert said.endswith("Stacks here: dev")
    assert not desk.where.state.exists(), "nothing is written down of a stack that there is not"


def test_a_stack_whose_file_is_gone_can_still_be_taken_down(desk: Desk) -> None:
    desk.program("""File("first", "x")""")
    desk.up()
    (desk.where.program / "Pulumi.dev.yaml").unlink()
    assert run.destroy(desk.where).summary == {"delete": 2}
    assert desk.files() == {}
