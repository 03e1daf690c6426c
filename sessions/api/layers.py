"""``/v1/x/environments/{id}/state`` and ``…/packages/rebuild``: what this machine has of an environment."""

from typing import Any

from ninja import Router

from agents.actions import find_environment
from contract.http import Request
from sessions import layers

router = Router(tags=["Environments"])


@router.get("/{environment_id}/state", response=dict[str, Any], operation_id="x.environments.state")
def state(request: Request, environment_id: str) -> dict[str, Any]:
    """Its packages (when installed, how large, why not) and its sandboxes with running processes."""
    return layers.shape(layers.state(find_environment(environment_id, request.acting)))


@router.post(
    "/{environment_id}/packages/rebuild", response=dict[str, Any], operation_id="x.environments.packages.rebuild"
)
def rebuild(request: Request, environment_id: str) -> dict[str, Any]:
    """Has every machine install the packages anew, in the background; the answer is the state before."""
    return layers.shape(layers.state(layers.rebuild(environment_id, request.acting)))
