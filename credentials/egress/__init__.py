"""The egress proxy: the only way out of a sandbox, and the only place where a secret meets a request.

One process a machine (``python -m credentials.egress``). It stands on asyncio, h11 and cryptography, knows no
database and no Django, and writes nothing but its own key to disk.
"""
