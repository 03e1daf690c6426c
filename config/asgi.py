"""HTTP goes to Django, websockets to the sessions app behind the sign-in and an origin check."""

import os

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

# Before the routes: their consumers import models, which need the app registry.
http = get_asgi_application()

from config.bodies import LimitedBodies  # noqa: E402
from config.fingerprints import DigestedBodies  # noqa: E402
from config.warm import warm_up_aside  # noqa: E402
from config.webserver import prepare  # noqa: E402
from sessions.routing import websocket_urlpatterns  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": LimitedBodies(DigestedBodies(http)),
        "websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(websocket_urlpatterns))),
    }
)
prepare()
warm_up_aside()
