"""What is secret, one file a concern."""

from credentials.models.core import ROLE_CHOICES, ApiKey, ModelConnection

__all__ = ["ROLE_CHOICES", "ApiKey", "ModelConnection"]
