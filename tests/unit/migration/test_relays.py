"""Step 5 asks the legacy gateway about wrong keys: some partners at a time, and the lock is renewed between them."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[3]
APPEND = [
    {
        "name": "Write",
        "ansible.builtin.lineinfile": {
            "path": "{{ playbook_dir }}/journal",
            "line": "{{ journal_bodies | to_json }}",
            "create": True,
            "regexp": "^$",
        },
        "delegate_to": "localhost",
        "run_once": True,
    }
]


def test_the_lock_is_renewed_however_many_partners_are_asked_about(tmp_path):
    shutil.copytree(ROOT / "roles" / "federation", tmp_path / "roles" / "federation")
    (tmp_path / "roles" / "journal" / "tasks").mkdir(parents=True)
    (tmp_path / "roles" / "journal" / "tasks" / "append.yml").write_text(yaml.safe_dump(APPEND))
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    edges, front_ends = (dict.fromkeys(names, local) for names in (("edge1", "edge2"), ("fe1",)))
    inventory = {"all": {"children": {"edges": {"hosts": edges}, "front_ends": {"hosts": front_ends}}}}
    partners = [{"domain": f"p{number}.example"} for number in range(7)]
    role = {"name": "federation", "tasks_from": "check_relay"}
    variables = {"federation_relayed": partners, "federation_edge_socket": str(tmp_path / "nobody")}
    play = {
        "hosts": "front_ends:edges",
        "gather_facts": False,
        "vars": variables,
        "tasks": [{"ansible.builtin.include_role": role}],
    }
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump(inventory))
    (tmp_path / "play.yml").write_text(yaml.safe_dump([play]))
    done = subprocess.run(
        [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "hosts.yml", "play.yml"],
        cwd=tmp_path,
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(tmp_path),
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "playbooks" / "collections"),
            "ANSIBLE_ROLES_PATH": str(tmp_path / "roles"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    appended = [json.loads(line) for line in (tmp_path / "journal").read_text().splitlines()]
    assert [[body["partner"] for body in bodies] for bodies in appended] == [
        [f"p{number}.example" for number in range(5)],
        ["p5.example", "p6.example"],
    ], "two edges of thirty seconds each: five partners may take five minutes"
