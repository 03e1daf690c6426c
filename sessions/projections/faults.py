"""Everything a session can report as an error: what it means and what to do. One table, read by the loop that reports
and by the pages that explain. Pure. The types are the wire's (spec core 13.2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from contract.phrases import marked as _


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

CATALOGUE: dict[str, Fault] = {
    fault.type: fault
    for fault in (
        Fault(
            "model_overloaded_error",
            _("The model is overloaded"),
            _("The model's server had no room for the request. It is asked again by itself, a little later each time."),
            _("Wait. If it lasts, name a fallback model in the agent, or ask another provider."),
            "agents:list",
            _("Agents"),
        ),
        Fault(
            "model_rate_limited_error",
            _("Too many requests to the model"),
            _(
                "The model's server refused the request because its rate limit was reached. It is asked again by "
                "itself."
            ),
            _("Run fewer sessions at once (LIMIT_CONCURRENT_SESSIONS), or ask the provider for a higher limit."),
            "sessions:usage",
            _("Usage"),
        ),
        Fault(
            "billing_error",
            _("The model's account has no credit"),
            _("The model's server refused the request because of its bill. Asking again doesn't help."),
            _("Pay at the provider or give another key, then try the session again."),
        ),
        Fault(
            REQUEST_FAILED,
            _("The model request failed"),
            _(
                "The request failed in another way: a key that isn't good, a prompt that doesn't fit, a server that "
                "can't be reached. The text of the error has the provider's words."
            ),
            _("Check the key and the address of the model (MODEL_BASE_URL), then try the session again."),
            "sessions:system",
            _("System"),
        ),
        Fault(
            "tool_use_limit_reached_error",
            _("Too many rounds of tool calls"),
            _("The turn called tools over and over, or repeated the same calls, and was ended."),
            _("Read the last steps, then send a message that says what to do instead."),
        ),
        Fault(
            "compaction_limit_reached_error",
            _("The conversation no longer fits"),
            _("The conversation was summarised several times in a row without getting anywhere."),
            _("Start a new session, or fork this one before it grew too long."),
        ),
        Fault(
            "mcp_connection_failed_error",
            _("An MCP server can't be reached"),
            _("The server did not answer, or not in its protocol. The session goes on without it."),
            _("Check the server's address in the agent. It is tried again when the session next starts to run."),
            "agents:list",
            _("Agents"),
        ),
        Fault(
            "mcp_authentication_failed_error",
            _("An MCP server refused the credential"),
            _("There is no credential for the server, or it was refused. The session goes on without it."),
            _("Add or renew the server's credential in a vault of the session."),
            "credentials:list",
            _("Credentials"),
        ),
        Fault(
            "credential_host_unreachable_error",
            _("A credential's host isn't permitted"),
            _("The environment's network rules don't permit the host that a credential is for, so it can't be used."),
            _("Permit the host in the environment, or take the credential out of the session."),
            "agents:environments",
            _("Environments"),
        ),
        Fault(
            "repository_authentication_error",
            _("The repository asks for a token"),
            _(
                "The repository is private, and no token was given, or one that isn't good. The session goes on "
                "without it."
            ),
            _("Give the session's repository a token that may read it."),
        ),
        Fault(
            "repository_forbidden_error",
            _("The repository's token may not read it"),
            _("The token is good, but not for this repository. The session goes on without it."),
            _("Give the token access to the repository, or another token to the session."),
        ),
        Fault(
            "repository_not_found_error",
            _("There is no such repository"),
            _("The host knows no repository of this name, or hides it from the token. The session goes on without it."),
            _("Check the address, and that the token may see the repository."),
        ),
        Fault(
            "repository_checkout_error",
            _("The branch or commit can't be checked out"),
            _("The repository is there, but what should be checked out of it isn't. The session goes on without it."),
            _("Check the name of the branch or the commit."),
        ),
        Fault(
            "repository_clone_error",
            _("The repository could not be cloned"),
            _("Git failed on the way; the text of the error has its words. The session goes on without it."),
            _("Check that the environment's network permits the host (GIT_HOSTS), then send a message to try again."),
            "agents:environments",
            _("Environments"),
        ),
        Fault(
            UNKNOWN,
            _("Something else went wrong"),
            _(
                "An error of no other kind: the session could not be run, its sandbox not be opened, or Holdfast "
                "itself failed. The text of the error says what is known."
            ),
            _("Look at System, then try again. If the text names the server's log, look there."),
            "sessions:system",
            _("System"),
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
