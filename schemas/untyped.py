"""JSON whose form its sender decides, such as traits, properties and context: the only values without a type of ours.

They are `object`: code must look at what a value is before it uses it.
"""

from collections.abc import Mapping
from typing import TypeAlias

Json: TypeAlias = object
"""A value as JSON readers return it: None, bool, int, float, str, list or dict."""

JsonObject: TypeAlias = Mapping[str, Json]
