"""The admin of how people sign in: second factors and accounts at the provider are seen and taken away, never made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from django.contrib import admin, messages

from agents.people import sign_out
from contract import audit
from contract.shown import ReadOnly

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.http import HttpRequest

# Addresses prove nothing here, and the provider is set by the environment.
for unused in (EmailAddress, SocialApp, SocialToken, SocialAccount, Authenticator):
    if admin.site.is_registered(unused):
        admin.site.unregister(unused)


@admin.register(Authenticator)
class SecondFactorAdmin(ReadOnly):
    """For the day somebody lost their phone, passkeys and recovery codes."""

    list_display = ("user", "type", "created_at", "last_used_at")
    list_filter = ("type",)
    list_select_related = ("user",)
    search_fields = ("user__username",)
    fields = ("user", "type", "created_at", "last_used_at")
    actions = ("remove",)

    @admin.action(description="Remove the chosen second factors, and sign their owners out")
    def remove(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for factor in queryset.select_related("user"):
            audit.of_person(factor.user, "person.second_factor_removed", {"type": factor.type}, by=request.user)
            factor.delete()
            sign_out(factor.user_id)
        messages.success(request, "The factors are removed. Their owners sign in without them now.")


@admin.register(SocialAccount)
class ProviderAccountAdmin(ReadOnly):
    """Who signs in at the provider of single sign-on."""

    list_display = ("user", "uid", "last_login", "date_joined")
    list_select_related = ("user",)
    search_fields = ("user__username", "uid")
    fields = ("user", "uid", "last_login", "date_joined")
