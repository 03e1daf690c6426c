"""Everything a session can report as an error: what it means and what to do. One table, read by the loop that reports
and by the pages that explain. Pure. The types are the wire's (spec core 13.2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Fault:
    """``sentence``: what happened. ``todo``: what a person does about it. ``place``: the page to do it on, if one."""

    type: str
    title: str
    sentence: str
    todo: str
    place: str = ""
    place_label: str = ""


UNKNOWN = "unknown_error"
REQUEST_FAILED = "model_request_failed_error"
WITHOUT_IT = "The session goes on without it."

CATALOGUE: dict[str, Fault] = {
    fault.type: fault
    for fault in (
        Fault(
            "model_overloaded_error",
            "The model is overloaded",
            "The model's server had no room for the request. It is asked again by itself, a little later each time.",
            "Wait. If it lasts, name a fallback model in the agent, or ask another provider.",
            "agents:list",
            "Agents",
        ),
        Fault(
            "model_rate_limited_error",
            "Too many requests to the model",
            "The model's server refused the request because its rate limit was reached. It is asked again by itself.",
            "Run fewer sessions at once (LIMIT_CONCURRENT_SESSIONS), or ask the provider for a higher limit.",
            "sessions:usage",
            "Usage",
        ),
        Fault(
            "billing_error",
            "The model's account has no credit",
            "The model's server refused the request because of its bill. Asking again doesn't help.",
            "Pay at the provider or give another key, then try the session again.",
        ),
        Fault(
            REQUEST_FAILED,
            "The model request failed",
            "The request failed in another way: a key that isn't good, a prompt that doesn't fit, a server that "
            "can't be reached. The text of the error has the provider's words.",
            "Check the key and the address of the model (MODEL_BASE_URL), then try the session again.",
            "sessions:system",
            "System",
        ),
        Fault(
            "tool_use_limit_reached_error",
            "Too many rounds of tool calls",
            "The turn called tools over and over, or repeated the same calls, and was ended.",
            "Read the last steps, then send a message that says what to do instead.",
        ),
        Fault(
            "compaction_limit_reached_error",
            "The conversation no longer fits",
            "The conversation was summarised several times in a row without getting anywhere.",
            "Start a new session, or fork this one before it grew too long.",
        ),
        Fault(
            "mcp_connection_failed_error",
            "An MCP server can't be reached",
            f"The server did not answer, or not in its protocol. {WITHOUT_IT}",
            "Check the server's address in the agent. It is tried again when the session next starts to run.",
            "agents:list",
            "Agents",
        ),
        Fault(
            "mcp_authentication_failed_error",
            "An MCP server refused the credential",
            f"There is no credential for the server, or it was refused. {WITHOUT_IT}",
            "Add or renew the server's credential in a vault of the session.",
            "credentials:list",
            "Credentials",
        ),
        Fault(
            "credential_host_unreachable_error",
            "A credential's host isn't permitted",
            "The environment's network rules don't permit the host that a credential is for, so it can't be used.",
            "Permit the host in the environment, or take the credential out of the session.",
            "agents:environments",
            "Environments",
        ),
        Fault(
            "repository_authentication_error",
            "The repository asks for a token",
            f"The repository is private, and no token was given, or one that isn't good. {WITHOUT_IT}",
            "Give the session's repository a token that may read it.",
        ),
        Fault(
            "repository_forbidden_error",
            "The repository's token may not read it",
            f"The token is good, but not for this repository. {WITHOUT_IT}",
            "Give the token access to the repository, or another token to the session.",
        ),
        Fault(
            "repository_not_found_error",
            "There is no such repository",
            f"The host knows no repository of this name, or hides it from the token. {WITHOUT_IT}",
            "Check the address, and that the token may see the repository.",
        ),
        Fault(
            "repository_checkout_error",
            "The branch or commit can't be checked out",
            f"The repository is there, but what should be checked out of it isn't. {WITHOUT_IT}",
            "Check the name of the branch or the commit.",
        ),
        Fault(
            "repository_clone_error",
            "The repository could not be cloned",
            f"Git failed on the way; the text of the error has its words. {WITHOUT_IT}",
            "Check that the environment's network permits the host (GIT_HOSTS), then send a message to try again.",
            "agents:environments",
            "Environments",
        ),
        Fault(
            UNKNOWN,
            "Something else went wrong",
            "An error of no other kind: the session could not be run, its sandbox not be opened, or Holdfast itself "
            "failed. The text of the error says what is known.",
            "Look at System, then try again. If the text names the server's log, look there.",
            "sessions:system",
            "System",
        ),
    )
}

# What a provider calls its failures (``agents.providers.base.ErrorKind``); every other kind is a failed request.
OF_PROVIDER = {
    "overloaded": "model_overloaded_error",
    "rate_limited": "model_rate_limited_error",
    "billing": "billing_error",
}


def of(error_type: str) -> Fault:
    """The fault of a type; of one that a later version wrote, the fallback, as clients do."""
    return CATALOGUE.get(error_type, CATALOGUE[UNKNOWN])


def session_error(error_type: str, message: str, retry_status: str) -> dict[str, Any]:
    """The ``error`` object of a ``session.error`` event (spec core 13). ``KeyError`` for a type without an entry."""
    return {"type": CATALOGUE[error_type].type, "message": message, "retry_status": {"type": retry_status}}


def of_provider(kind: str) -> str:
    """The type under which a provider's failure is reported."""
    return OF_PROVIDER.get(kind, REQUEST_FAILED)
