"""Sans-I/O XMPP server-to-server (S2S): addresses, restricted XML, stream negotiation, dialback, SASL EXTERNAL.

Bytes, verdicts and the time go in; frozen commands and events come out. Nothing here opens a socket, reads a clock,
draws a random number or knows a TLS library: those belong to the daemon that drives a stream (`xmppgw.edge`).

Where things are:

- `address`: `JID` and the preparation of domains, localparts and resources.
- `element`, `parser`: a small tree, its one serialiser, and the restricted parser that counts while it reads.
- `stanza`: classification and checks of message, presence and iq; error replies.
- `errors`: stream, stanza, SASL and dialback conditions as tables.
- `dialback`, `sasl`: keys of XEP-0185, the table of outstanding requests, EXTERNAL.
- `stream`: the vocabulary (commands, events, policy, limits) and the theory of operation.
- `machine`, `incoming`, `outgoing`: what both stream machines share, and the two.
- `srv`: the order in which a partner's servers are tried.
"""
