"""What puts the bundled wheels into a release: on a host there is no pip, and no way out."""

import base64
import hashlib
import io
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import installer
import pytest
from ansible_collections.xmppgw.migration.plugins.module_utils import wheels
from ansible_collections.xmppgw.migration.plugins.module_utils.host_writing import WriteError


def a_wheel(folder, name, files, wrong=()):
    """Write a wheel of `files` with a RECORD; the hashes of `wrong` ones are of something else."""
    info = f"{name}-1.0.dist-info"
    files = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    path = folder / f"{name}-1.0-py3-none-any.whl"
    record = ""
    with zipfile.ZipFile(path, "w") as archive:
        for inside, text in files.items():
            data = text.encode()
            archive.writestr(inside, data)
            hashed = hashlib.sha256(b"else" if inside in wrong else data).digest()
            record += f"{inside},sha256={base64.urlsafe_b64encode(hashed).rstrip(b'=').decode()},{len(data)}\n"
        archive.writestr(f"{info}/RECORD", record + f"{info}/RECORD,,\n")
    return path


@pytest.fixture
def bringer(tmp_path):
    source = Path(installer.__file__).parent
    names = [path.relative_to(source.parent) for path in source.rglob("*.py")]
    return a_wheel(tmp_path, "installer", {str(name): (source.parent / name).read_text() for name in names})


def greeter(folder, **more):
    return a_wheel(
        folder,
        "greeter",
        {
            "greeter.py": "def main():\n    print('hello')\n",
            "greeter-1.0.dist-info/entry_points.txt": "[console_scripts]\ngreet = greeter:main\n",
        },
        **more,
    )


def test_a_release_holds_the_wheels_and_their_commands_and_no_pip(tmp_path, bringer):
    wheels.make_environment(tmp_path / "release", [greeter(tmp_path), bringer])

    ran = subprocess.run([tmp_path / "release" / "bin" / "greet"], capture_output=True, text=True, check=True)
    assert ran.stdout == "hello\n"
    packages = next((tmp_path / "release" / "lib").glob("python3.*/site-packages"))
    assert (packages / "greeter-1.0.dist-info" / "INSTALLER").read_text() == "xmppgw"
    assert list(packages.glob("__pycache__/greeter.*.pyc")), "compiled, so that a daemon need not write there"
    assert not (packages / "pip").exists()
    assert str(bringer) not in sys.path


def test_a_wheel_that_is_not_what_its_record_says_is_refused_by_name(tmp_path, bringer):
    with pytest.raises(WriteError, match=r"greeter-1\.0-py3-none-any\.whl: .*greeter\.py didn't match RECORD"):
        wheels.make_environment(tmp_path / "release", [greeter(tmp_path, wrong=["greeter.py"]), bringer])


def test_a_wheel_that_is_cut_off_is_refused_by_name(tmp_path, bringer):
    wheel = greeter(tmp_path)
    wheel.write_bytes(wheel.read_bytes()[:-40])
    with pytest.raises(WriteError, match=r"greeter-1\.0-py3-none-any\.whl"):
        wheels.make_environment(tmp_path / "release", [wheel, bringer])


def test_two_wheels_with_the_same_file_are_refused(tmp_path, bringer):
    other = a_wheel(tmp_path, "other", {"greeter.py": "\n"})
    with pytest.raises(WriteError, match=r"other-1\.0-py3-none-any\.whl: .*greeter\.py"):
        wheels.make_environment(tmp_path / "release", [greeter(tmp_path), other, bringer])


def test_wheels_without_what_installs_them_are_refused_before_anything_is_made(tmp_path):
    with pytest.raises(WriteError, match="0 wheels named installer, expected 1"):
        wheels.make_environment(tmp_path / "release", [greeter(tmp_path)])
    assert not (tmp_path / "release").exists()


def test_only_plain_wheels_come_out_of_an_archive(tmp_path):
    with tarfile.open(tmp_path / "wheels.tar", "w") as tar:
        for name in ("b.whl", "a.whl", "../c.whl", "folder/d.whl", "readme.txt"):
            member = tarfile.TarInfo(name)
            member.size = 3
            tar.addfile(member, io.BytesIO(b"abc"))
        link = tarfile.TarInfo("e.whl")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    (tmp_path / "out").mkdir()

    found = wheels.unpack(tmp_path / "wheels.tar", tmp_path / "out")

    assert [path.name for path in found] == ["a.whl", "b.whl"]
    assert sorted(path.name for path in tmp_path.rglob("*.whl")) == ["a.whl", "b.whl"]


@pytest.mark.parametrize("octets", [b"", b"not an archive", None])
def test_what_is_no_archive_is_refused(tmp_path, octets):
    if octets is not None:
        (tmp_path / "wheels.tar").write_bytes(octets)
    with pytest.raises(WriteError, match=r"wheels\.tar"):
        wheels.unpack(tmp_path / "wheels.tar", tmp_path)
