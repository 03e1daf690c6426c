from django.urls import path
from config.api import api
urlpatterns = [path("v1/", api.urls)]
