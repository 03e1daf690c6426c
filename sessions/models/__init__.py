"""What happens, one file a concern."""

from sessions.models.approvals import Approval, Notice, NoticeTarget
from sessions.models.core import STATUSES, Event, File, Resource, Session, Thread
from sessions.models.deployments import Deployment, DeploymentRun
from sessions.models.webhooks import WebhookDelivery, WebhookEndpoint
from sessions.models.workflows import WorkflowRun

__all__ = [
    "STATUSES",
    "Approval",
    "Deployment",
    "DeploymentRun",
    "Event",
    "File",
    "Notice",
    "NoticeTarget",
    "Resource",
    "Session",
    "Thread",
    "WebhookDelivery",
    "WebhookEndpoint",
    "WorkflowRun",
]
