"""No unit that we install is given up by systemd, however long what ends it lasts."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import jinja2
import pytest

ROOT = Path(__file__).resolve().parents[3]
RESTARTED = sorted(
    path
    for folder in ("roles", "pulumi")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in {".j2", ".py"} and re.search(r"^(\{\{.*\}\})?Restart=", path.read_text(), re.MULTILINE)
)
SOCKETS = sorted(ROOT.glob("roles/*/templates/*.socket.j2"))
DAEMONS = [path for path in RESTARTED if path.is_relative_to(ROOT / "roles")]


def section(path: Path, name: str) -> dict[str, str]:
    """The settings of one section of the unit that a file holds; of a repeated one the last."""
    (text,) = re.findall(rf"^(?:.*\"\"\"\\\n)?\[{name}\]\n(.*?)(?=^\[|\Z)", path.read_text(), re.MULTILINE | re.DOTALL)
    return dict(re.findall(r"^(?:\{\{ \w+ \}\})?(\w+)=(.*)$", text, re.MULTILINE))


def test_all_of_them_are_looked_at() -> None:
    assert {path.name for path in DAEMONS} == {"xmppgw-edge.service.j2", "xmppgw-frontend.service.j2"}
    assert len(RESTARTED) >= 8, RESTARTED
    assert {path.name for path in SOCKETS} == {"xmppgw-edge.socket.j2", "xmppgw-frontend.socket.j2"}


@pytest.mark.parametrize("path", RESTARTED, ids=lambda path: path.name)
def test_what_is_restarted_is_restarted_for_ever(path: Path) -> None:
    """Systemd's own limit is five starts in ten seconds, then it gives the service up, and its socket with it."""
    assert section(path, "Unit").get("StartLimitIntervalSec") == "0", f"[Unit] of {path}"


@pytest.mark.parametrize("path", DAEMONS, ids=lambda path: path.name)
def test_a_daemon_that_fails_at_once_does_not_take_the_host_s_time(path: Path) -> None:
    assert float(section(path, "Service")["RestartSec"]) >= 2


@pytest.mark.parametrize("path", SOCKETS, ids=lambda path: path.name)
def test_a_socket_is_never_failed_for_being_used(path: Path) -> None:
    """Its own limit is twenty activations in two seconds; behind it the port is closed until somebody comes."""
    assert section(path, "Socket").get("TriggerLimitIntervalSec") == "0", f"[Socket] of {path}"


def test_systemd_understands_the_units(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed here")
    values = {"user": "root", "settings_path": "/etc/x", "listen": [{"address": "192.0.2.1", "port": 5269}]}
    units = []
    for path in [*DAEMONS, *SOCKETS]:
        unit = tmp_path / path.name.removesuffix(".j2")
        text = jinja2.Template(path.read_text(), trim_blocks=True).render(values)
        unit.write_text(text.replace("/opt/xmppgw/current/bin/xmppgw", "/bin/true"))
        units.append(str(unit))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True, timeout=60, check=False
    )
    told = [line for line in done.stderr.splitlines() if "xmppgw" in line]
    assert not told, "\n".join(told)
