"""The web tools, which run on the server (spec core 5.4)."""
