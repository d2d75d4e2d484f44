"""Sans-I/O SIP for one trusted peer over a reliable transport: URIs, messages, transactions, connections.

The front end daemon calls it; it never opens a socket, reads a clock or draws a random number: bytes, `now` and tokens
come in as arguments, events and bytes go out. Which message means what to an XMPP user is the business of `translate`.
"""
