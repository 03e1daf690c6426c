"""The wire contract: ids, errors, schema, cursors and roles. Imports nothing else of ours."""
