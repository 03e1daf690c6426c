"""What backends have in common that keep sandboxes as directories of this machine: everything but the process."""
