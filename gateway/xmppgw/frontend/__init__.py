"""The front end: translates between XMPP (through the edges) and SIP (with the platform), and keeps what it accepted.

Re-validates everything an edge tells it. Never acknowledges what it has not committed.
"""
