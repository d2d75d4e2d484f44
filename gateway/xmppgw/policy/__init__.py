"""Who may use XMPP federation: effective access policies, and the table of users that they are decided from.

The front end, the CLI and the playbooks' guards ask here. Imports nothing by itself, so that a daemon loads no more of
it than it needs.
"""
