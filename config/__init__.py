"""Wiring only: settings, URLs, ASGI, Celery, the API's frame, and the supervisor behind `manage.py up`."""
