"""What the account of a request says of it."""

from __future__ import annotations

from starlette.requests import Request

from edge_llama.api.reply.metered_stream import AccountMeter
from edge_llama.api.state.app_state import state_of
from edge_llama.api.state.request_state import request_state
from edge_llama.chat.meter import UsageMeter
from edge_llama.engine.protocol.request import ServiceTier
from edge_llama.pool.registry import ServedModel


def meter_of(request: Request, model: ServedModel) -> UsageMeter | None:
    """What counts a request to `model`; None where nothing is counted."""
    account = request_state(request.scope).account
    writer = state_of(request).usage_writer
    if account is None or writer is None:
        return None
    return AccountMeter(account, model.id, writer.wake)


def tier_of(request: Request, asked: ServiceTier) -> ServiceTier:
    """The tier that was asked for, unless the key has only the lower one."""
    account = request_state(request.scope).account
    flex = account is not None and account.limits.tier == "flex"
    return ServiceTier.FLEX if flex else asked
