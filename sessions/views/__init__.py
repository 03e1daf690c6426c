"""The pages of sessions, one module a page or a family of pages."""
