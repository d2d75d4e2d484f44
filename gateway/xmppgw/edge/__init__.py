"""The edge: speaks XMPP server-to-server towards partners and hands what it authenticated to the front end.

Has no database, no user directory and no way to SIP.
"""
