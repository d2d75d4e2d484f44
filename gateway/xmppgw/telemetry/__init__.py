"""What an operator can see of a running daemon: logs, metrics, health, control socket, systemd notifications.

Called by the two daemons. Never logs a message body, a key or a secret.
"""
