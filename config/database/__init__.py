"""Django's backend for PostgreSQL, as `config.endpoints` names it: it hands out no connection that was lost."""
