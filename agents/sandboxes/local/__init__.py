"""The local backend: bubblewrap on this machine, as root or as an ordinary user, no Docker."""
