"""MCP servers as tools of an agent: the official client behind a synchronous, bounded door."""
