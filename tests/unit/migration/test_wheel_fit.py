"""Which wheels run on which host: judged before anything is deployed."""

import sys

import pytest
from ansible_collections.xmppgw.migration.plugins.module_utils import host_reading
from ansible_collections.xmppgw.migration.plugins.plugin_utils.wheel_fit import misfits, unfit

BOOKWORM = {"python": "3.11", "machine": "x86_64", "libc": "2.36"}
PURE, EXTENSION, STABLE = (
    "idna-3.20-py3-none-any.whl",
    "msgspec-0.22.0-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
    "cryptography-50.0.2-cp311-abi3-manylinux_2_34_x86_64.whl",
)


@pytest.mark.parametrize(
    ("changed", "wrong"),
    [
        ({}, []),
        ({"python": "3.13", "libc": "2.41"}, [EXTENSION]),
        ({"machine": "aarch64"}, [STABLE, EXTENSION]),
        ({"libc": "2.31"}, [STABLE]),
        ({"libc": "2.16"}, [STABLE, EXTENSION]),
        ({"libc": ""}, [STABLE, EXTENSION]),
    ],
    ids=["as it must be", "newer Python", "other processor", "older C library", "very old C library", "no glibc"],
)
def test_a_wheel_runs_where_python_processor_and_library_are_its_own(changed, wrong):
    assert unfit([PURE, EXTENSION, STABLE], {**BOOKWORM, **changed}) == wrong


def test_a_wheel_of_the_old_platform_name_is_understood():
    name = "pyyaml-6.0.3-cp311-cp311-manylinux2014_x86_64.whl"
    assert unfit([name], BOOKWORM) == []
    assert unfit([name], {**BOOKWORM, "libc": "2.16"}) == [name]


def test_hosts_are_named_with_what_they_are():
    hosts = {"fe1": {"runs_on": BOOKWORM}, "edge1": {"runs_on": {**BOOKWORM, "machine": "aarch64"}}}
    release = {"files": [f"/somewhere/{name}" for name in (PURE, EXTENSION, STABLE)]}
    assert misfits(release, hosts) == [f"edge1 (Python 3.11, aarch64, glibc 2.36): {STABLE} and 1 more"]


def test_a_host_says_what_it_is():
    found = host_reading.runs_on()
    assert found["python"] == f"{sys.version_info.major}.{sys.version_info.minor}"
    assert found["machine"]
    assert float(found["libc"]) > 2
