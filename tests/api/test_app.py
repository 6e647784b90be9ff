from __future__ import annotations

from tests.api.conftest import app_for
from tests.fakes import FakeEngine


async def test_the_lifespan_launches_and_stops_the_engine(engine: FakeEngine) -> None:
    app = app_for(engine)
    assert engine.launched == 0
    async with app.router.lifespan_context(app):
        assert (engine.launched, engine.stopped) == (1, 0)
    assert (engine.launched, engine.stopped) == (1, 1)
