"""The accounts of a server: the keys of `edge-llama keys`, if they can be kept."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from edge_llama.cli.keys.options import state_file
from edge_llama.cli.serve.options import AccountOptions
from edge_llama.errors import StateError

if TYPE_CHECKING:
    from edge_llama.accounts.accounts import Accounts

logger = logging.getLogger(__name__)


def open_accounts(options: AccountOptions) -> Accounts | None:
    """The keys and their usage. None if there are no keys and nothing can be kept, as in a
    container that is read-only.

    Raises:
        StateError: there is a file that cannot be used, or a folder was named in which there can
            be none.
        SettingsError: the prices cannot be read.
    """
    from edge_llama.accounts.accounts import Accounts
    from edge_llama.accounts.prices import read_prices

    prices = {} if options.prices is None else read_prices(options.prices)
    file = state_file(options.state_dir)
    try:
        return Accounts(file, prices)
    except StateError as error:
        if options.state_dir is not None or file.exists():
            raise
        logger.info("%s No usage is counted.", error)
        return None
