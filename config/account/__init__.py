"""A person's own account: password, passkeys, codes, and where they are signed in."""
