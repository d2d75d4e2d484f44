"""TLS for every leg: S2S with verification after the stream names the domain, mutual TLS for the link and SIP.

Built on pyOpenSSL memory BIOs: bytes in, bytes out, no socket and no event loop. The standard library's `ssl` cannot
serve S2S: its server side refuses today's public certificates, which carry serverAuth only, inside the handshake.

- `identity`: our own certificate and key, checked before they are used.
- `context`: OpenSSL contexts, one function per leg.
- `memory`: one TLS connection as a pure byte machine.
- `verify`: is this chain trusted, and whose is it.
- `reload`: exchange certificate and key under running connections.
"""
