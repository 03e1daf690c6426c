"""The docker backend: a container a sandbox, by any engine of this machine that speaks Docker's API (Podman does)."""
