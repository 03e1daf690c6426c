"""Outside workers: the tools of sessions in self_hosted environments run on other machines (spec advanced 16)."""
