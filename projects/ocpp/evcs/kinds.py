"""Names for the kinds of values that the simulator's functions take and give."""

from __future__ import annotations

from typing import Any, Literal

Row = dict[str, Any]
Rows = list[Row]
Repeat = int | Literal["forever"]
