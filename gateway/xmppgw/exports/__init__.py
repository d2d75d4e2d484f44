"""What an administrator exports from the old platform with PowerShell, read and turned into a federation document.

Called by `xmppgw import-legacy` and `xmppgw user sync`. Reads files, never the platform; what it cannot be sure of it
names instead of guessing.
"""
