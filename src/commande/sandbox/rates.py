"""Tax rates: made once; percentage, country and inclusiveness never change, `active` does."""

from commande.sandbox.errors import Refusal, missing
from commande.sandbox.parameters import Array, Boolean, Choice, Hash, Kind, Metadata, Number, Text
from commande.sandbox.store import Row
from commande.sandbox.world import World

_TYPES = (
    "admissions_tax amusement_tax attendance_tax communications_tax digital_excise_tax "
    "entertainment_tax get_fund gross_receipts_tax gst hospitality_tax hst igst jct lease_tax "
    "luxury_tax nhil pst qst resort_tax retail_delivery_fee rst sales_tax service_tax tourism_tax "
    "use_tax vat"
).split()
_TEXTS: dict[str, Kind] = {
    "active": Boolean(), "country": Text(2), "description": Text(5000), "jurisdiction": Text(200),
    "metadata": Metadata(), "state": Text(10), "tax_type": Choice(*_TYPES),
    "display_name": Text(50), "expand": Array(Text(200), 0, 20),
}  # fmt: skip
CREATE = Hash(
    {**_TEXTS, "inclusive": Boolean(), "percentage": Number(0, 100, 4)},
    required=("display_name", "inclusive", "percentage"),
)
UPDATE = Hash(_TEXTS)


def create_rate(world: World, given: Row) -> Row:
    percentage = float(given["percentage"])
    id_ = world.ids.new("txr_1")
    row: Row = {
        "id": id_,
        "object": "tax_rate",
        "active": given.get("active", True),
        "country": _country(given.get("country")),
        "created": world.now,
        "description": given.get("description"),
        "display_name": given["display_name"],
        "effective_percentage": percentage,
        "flat_amount": None,
        "inclusive": given["inclusive"],
        "jurisdiction": given.get("jurisdiction"),
        "jurisdiction_level": None,
        "livemode": False,
        "metadata": given.get("metadata") or {},
        "percentage": percentage,
        "rate_type": "percentage",
        "state": given.get("state"),
        "tax_type": given.get("tax_type"),
    }
    world.state.put("tax_rate", id_, row)
    return row


def _country(code: str | None) -> str | None:
    if code is not None and not (len(code) == 2 and code.isascii() and code.isalpha()):
        raise Refusal(f"Country '{code}' is unknown.", code="country_unsupported", param="country")
    return code.upper() if code else None


def update_rate(world: World, id_: str, given: Row) -> Row:
    row = world.state.get("tax_rate", id_)
    if row is None:
        raise missing("tax rate", id_)
    changes = {name: value for name, value in given.items() if name not in {"expand", "metadata"}}
    if "country" in changes:
        changes["country"] = _country(changes["country"])
    if "metadata" in given:
        merged = {**row["metadata"], **given["metadata"]} if given["metadata"] else {}
        changes["metadata"] = {name: value for name, value in merged.items() if value}
    row = {**row, **changes}
    world.state.put("tax_rate", id_, row)
    return row
