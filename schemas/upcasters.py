"""Events are never edited; old ones are lifted to the newest version when they are read.

An upcaster is a pure function from the properties of one version to those of the next. To add version 3 of a
type: write its row in `schemas/sets/`, an `upcast_<type>_v2_v3` here, a line in `UPCASTERS`, and a stored
sample under `tests/data/schemas/`; a test lifts every sample of every version to the newest and validates it.
"""

from collections.abc import Callable, Mapping
from typing import Final

Properties = Mapping[str, object]
Upcaster = Callable[[Properties], Properties]


def upcast_product_v1_v2(properties: Properties) -> Properties:
    """Segment's e-commerce version 1 calls the product's id `id`; a `product_id`, if present, wins."""
    lifted = {name: value for name, value in properties.items() if name != "id"}
    if "id" in properties and lifted.get("product_id") is None:
        lifted["product_id"] = properties["id"]
    return lifted


UPCASTERS: Final[Mapping[tuple[str, int], Upcaster]] = {
    ("product.viewed", 1): upcast_product_v1_v2,
    ("product.added", 1): upcast_product_v1_v2,
    ("product.removed", 1): upcast_product_v1_v2,
}
"""By type, and the version that the upcaster lifts to the next one."""


def lift(dataschema: str, properties: Properties) -> tuple[str, Properties]:
    """The newest dataschema and properties for an event stored as `dataschema` (`product.viewed/1`).

    Returns the very same properties when there is nothing to lift (also for `custom`); never changes its
    argument.
    """
    type, _, version = dataschema.rpartition("/")
    number = int(version) if version.isdecimal() else 0
    while (upcaster := UPCASTERS.get((type, number))) is not None:
        properties, number = upcaster(properties), number + 1
        dataschema = f"{type}/{number}"
    return dataschema, properties
