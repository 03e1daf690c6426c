"""What happens, one file a concern."""

from sessions.models.approvals import Approval, Notice, NoticeTarget
from sessions.models.core import STATUSES, Event, File, Machine, Resource, Session, Thread
from sessions.models.deployments import Deployment, DeploymentRun
from sessions.models.dreams import Dream, DreamKit
from sessions.models.transfers import Transfer
from sessions.models.usage import UsageSlice
from sessions.models.views import SavedView
from sessions.models.webhooks import WebhookDelivery, WebhookEndpoint
from sessions.models.work import EnvironmentKey, Work, WorkerSeen
from sessions.models.workflows import WorkflowRun

__all__ = [
    "STATUSES",
    "Approval",
    "Deployment",
    "DeploymentRun",
    "Dream",
    "DreamKit",
    "EnvironmentKey",
    "Event",
    "File",
    "Machine",
    "Notice",
    "NoticeTarget",
    "Resource",
    "SavedView",
    "Session",
    "Thread",
    "Transfer",
    "UsageSlice",
    "WebhookDelivery",
    "WebhookEndpoint",
    "Work",
    "WorkerSeen",
    "WorkflowRun",
]
