"""What Windows says of its cores."""

from __future__ import annotations

import struct


def windows_record(
    mask: int, *, group: int = 0, efficiency_class: int = 0, relationship: int = 0
) -> bytes:
    """A SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX of one group, as winnt.h lays it out."""
    return struct.pack(
        "<IIBB20xHQH6x",
        relationship,
        48,
        int(mask.bit_count() > 1),
        efficiency_class,
        1,
        mask,
        group,
    )
