"""Leaving as easily as coming: a workspace as one signed archive."""
