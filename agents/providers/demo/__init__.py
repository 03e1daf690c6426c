"""The demo model: "Demo, rule-driven, no AI". A Messages API server made of rules.

Its reply is a function of the request alone, so it survives restarts and runs in any number
of processes. Only two things are remembered, both bounded and both in ``memory.py``: how
often a request asked to fail has failed, and which prompt prefixes count as cached.
"""
