"""What is prepared beside the start is what the API will need."""

from __future__ import annotations

from config.warm import request_types, warm_up_aside
from contract.schema import request_model


def test_the_models_of_all_bodies_are_built_beforehand() -> None:
    assert len(set(request_types())) >= 8
    warm_up_aside().join(60)
    before = request_model.cache_info().misses
    for path in request_types():
        request_model(path)
    assert request_model.cache_info().misses == before
