"""The connection between edge and front end on TCP 23456: frames, sequence numbers, acknowledgement, credit.

Called by both daemons, which run the same machine at either end. Knows nothing of XMPP or SIP.
"""
