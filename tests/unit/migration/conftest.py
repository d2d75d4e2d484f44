"""Makes the playbook-adjacent collection importable, as Ansible itself does."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "playbooks" / "collections"))
