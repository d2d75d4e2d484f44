"""The bundled gateway: an XMPP S2S proxy (edge) and an XMPP/SIP gateway (front end)."""
