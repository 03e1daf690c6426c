"""The editor of agents: its form (``form``), the rows in it, and the API's body of it and back (``written``)."""
