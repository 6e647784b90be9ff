from __future__ import annotations

from edge_llama.api.state.app_state import state_of
from edge_llama.pool.pooled_model import PooledModel
from edge_llama.pool.registry import ServedModel
from tests.api.asgi_call import until
from tests.api.conftest import app_of
from tests.fakes import FakeEngines


async def test_the_lifespan_loads_the_first_model_and_unloads_all() -> None:
    one, two = FakeEngines(), FakeEngines()
    first = PooledModel("one", one)
    app = app_of(ServedModel("one", first), ServedModel("two", PooledModel("two", two)))
    assert one.made == []
    async with app.router.lifespan_context(app):
        await until(lambda: first.info is not None)
        async with state_of(app).registry.pool.use(first):
            assert (one.running, two.running) == (1, 0)
    assert (len(one.made), one.running, two.made) == (1, 0, [])
