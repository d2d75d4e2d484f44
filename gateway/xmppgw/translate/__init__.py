"""XMPP to SIP and back, as pure functions and tables (RFC 7247, RFC 7572, with declared corrections and losses).

The front end calls it with typed stanzas (`xmppgw.xmpp`) and typed requests (`xmppgw.sip`). It knows no partners, no
policies and no store, and never passes foreign XML or MIME through.

- `neutral`: what is left of a message when neither protocol is looked at.
- `addresses`: the injective address map. - `errors`: both error tables. - `messages`: the translation itself.
- `losses`: what is known to be lost, as data.
"""
