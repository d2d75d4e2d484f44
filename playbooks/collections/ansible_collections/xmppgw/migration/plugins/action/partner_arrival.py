"""Has the module of this name run on the host."""

from __future__ import annotations

from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import OnHost as ActionModule

__all__ = ["ActionModule"]
