"""How objects are shown: expansion of ids, and lists page by page, newest first."""

from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from commande.sandbox.charges import method_object
from commande.sandbox.errors import Refusal, missing
from commande.sandbox.events import render_event
from commande.sandbox.order_lines import breakdown
from commande.sandbox.parameters import Array, Boolean, Choice, Hash, Integer, Kind, Mail, Text
from commande.sandbox.store import Row
from commande.sandbox.world import World

EXPAND = Array(Text(200), 0, 20)
RETRIEVE = Hash({"expand": EXPAND})

# What may be expanded: the kind of object that the id names.
_EXPANDS = {
    ("checkout.session", "payment_intent"): "payment_intent",
    ("checkout.session", "customer"): "customer",
    ("checkout.session", "payment_link"): "payment_link",
    ("checkout.session", "invoice"): "invoice",
    ("payment_intent", "latest_charge"): "charge",
    ("payment_intent", "payment_method"): "payment_method",
    ("payment_intent", "customer"): "customer",
    ("payment_intent", "review"): "review",
    ("charge", "balance_transaction"): "balance_transaction",
    ("charge", "payment_intent"): "payment_intent",
    ("charge", "customer"): "customer",
    ("charge", "failure_balance_transaction"): "balance_transaction",
    ("refund", "charge"): "charge",
    ("refund", "payment_intent"): "payment_intent",
    ("refund", "balance_transaction"): "balance_transaction",
    ("refund", "failure_balance_transaction"): "balance_transaction",
    ("dispute", "charge"): "charge",
    ("dispute", "payment_intent"): "payment_intent",
    ("price", "product"): "product",
}


class Span(NamedTuple):
    """Seconds from `low` to `high`, both included."""

    low: int
    high: int


class CreatedFilter:
    """`created`: a moment, or a range of gt, gte, lt, lte."""

    _range = Hash(dict.fromkeys(("gt", "gte", "lt", "lte"), Integer()))

    def check(self, value: Any, path: str) -> Span:
        if not isinstance(value, dict):
            exact = Integer().check(value, path)
            return Span(exact, exact)
        ends = self._range.check(value, path)
        low = max(ends.get("gte", 0), ends.get("gt", -1) + 1)
        high = min(ends.get("lte", 2**62), ends.get("lt", 2**62) - 1)
        return Span(low, high)


def _form(**more: Kind) -> Hash:
    page: dict[str, Kind] = {
        "ending_before": Text(100),
        "starting_after": Text(100),
        "limit": Integer(1, 100),
        "expand": EXPAND,
    }
    return Hash(page | more)


LINES = _form()
FORMS = {
    "session": _form(
        created=CreatedFilter(), customer=Text(100), customer_account=Text(100),
        customer_details=Hash({"email": Mail()}, required=("email",)),
        payment_intent=Text(100), payment_link=Text(100),
        status=Choice("complete", "expired", "open"), subscription=Text(100),
    ),
    "tax_rate": _form(active=Boolean(), created=CreatedFilter(), inclusive=Boolean()),
    "payment_intent": _form(created=CreatedFilter(), customer=Text(100),
                            customer_account=Text(100)),
    "charge": _form(created=CreatedFilter(), customer=Text(100), payment_intent=Text(100),
                    transfer_group=Text(100)),
    "refund": _form(created=CreatedFilter(), charge=Text(100), payment_intent=Text(100)),
    "dispute": _form(created=CreatedFilter(), charge=Text(100), payment_intent=Text(100)),
    "event": _form(created=CreatedFilter(), delivery_success=Boolean(), type=Text(100),
                   types=Array(Text(100), 1, 20)),
    "webhook_endpoint": _form(),
    "balance_transaction": _form(created=CreatedFilter(), currency=Text(3), source=Text(100),
                                 type=Text(50)),
}  # fmt: skip
_PAGING = {"ending_before", "starting_after", "limit", "expand"}


def list_rows(world: World, kind: str, given: Row, url: str) -> Row:
    """A page of the rows of a kind that fit the filters. Raises Refusal for an unknown cursor."""
    if "type" in given and "types" in given:
        raise Refusal("You may only specify one of these parameters: type, types.",
                      code="parameters_exclusive", param="type")  # fmt: skip
    filters = {name: given[name] for name in given.keys() - _PAGING}
    rows = world.state.rows[kind]
    for cursor in ("starting_after", "ending_before"):
        if cursor in given and given[cursor] not in rows:
            raise missing(kind.replace("_", " "), given[cursor], cursor, status=400)

    def fitting() -> Iterator[Row]:
        backwards = "ending_before" in given
        ordered = rows.values() if backwards else reversed(rows.values())
        cursor = given.get("ending_before") or given.get("starting_after")
        reached = cursor is None
        # Newest first: what is older than the range, and by more than the clock was ever put
        # back, has nothing of the range behind it.
        oldest = filters["created"].low - world.setback if "created" in filters else 0
        for row in ordered:
            if row.get("created", 0) < oldest and not backwards and reached:
                return
            if reached and (kind != "event" or row["listed_from"] <= world.clock.now()):
                if all(_fits(row, name, wanted) for name, wanted in filters.items()):
                    yield row
            elif row["id"] == cursor:
                reached = True

    return _page(world, fitting(), given, url)


def _page(world: World, rows: Iterator[Row], given: Row, url: str) -> Row:
    limit = given.get("limit", 10)
    page = [row for row, _ in zip(rows, range(limit + 1), strict=False)]
    more = len(page) > limit
    page = page[:limit]
    if "ending_before" in given:
        page.reverse()
    page = [render_event(row) if "listed_from" in row else row for row in page]
    shown = {"object": "list", "data": page, "has_more": more, "url": url}
    return expand(world, shown, given.get("expand", []))


def _fits(row: Row, name: str, wanted: Any) -> bool:
    if name == "created":
        return bool(wanted.low <= row["created"] <= wanted.high)
    if name == "customer_details":
        details = row["customer_details"]
        return bool(details and (details["email"] or "").lower() == wanted["email"].lower())
    if name == "delivery_success":
        return bool((row["pending"] == 0) == wanted)
    if name == "types":
        return row["type"] in wanted
    if name == "type":
        return fnmatchcase(row["type"], wanted)
    return bool(row[name] == wanted)


def list_lines(world: World, session: str, given: Row) -> Row:
    """The lines of a session, in the order in which they were given."""
    lines = world.state.rows["checkout"][session]["lines"]
    cursor = given.get("starting_after") or given.get("ending_before")
    ids = [line["id"] for line in lines]
    if cursor is not None and cursor not in ids:
        raise missing("line item", cursor, status=400)
    if "ending_before" in given:
        lines = lines[: ids.index(cursor)][::-1]
    elif cursor is not None:
        lines = lines[ids.index(cursor) + 1 :]
    return _page(world, iter(lines), given, f"/v1/checkout/sessions/{session}/line_items")


def expand(world: World, row: Row, paths: list[str]) -> Row:
    """The row with the named ids replaced by their objects. Raises Refusal for a strange path."""
    tree: dict[str, Any] = {}
    for path in paths:
        names = path.split(".")
        if len(names) > 4 + (row["object"] == "list"):
            raise Refusal("You cannot expand more than 4 levels of a property.", param="expand")
        spot = tree
        for name in names:
            spot = spot.setdefault(name, {})
    return _grow(world, row, tree)


def _grow(world: World, row: Row, tree: dict[str, Any]) -> Row:
    kind = row.get("object", "")
    if kind == "item":
        return _grow_line(world, row, tree)
    if not tree:
        return row
    grown = dict(row)
    for name, deeper in tree.items():
        if kind == "list" and name == "data":
            grown["data"] = [_grow(world, item, deeper) for item in row["data"]]
        elif (kind, name) in _INCLUDED:
            grown[name] = _INCLUDED[kind, name](world, row, deeper)
        elif (kind, name) in _EXPANDS:
            target = row.get(name)
            if isinstance(target, str):
                found = _find(world, _EXPANDS[kind, name], target)
                grown[name] = target if found is None else _grow(world, found, deeper)
        else:
            raise Refusal(f"This property cannot be expanded ({name}).", param="expand")
    return grown


def _find(world: World, kind: str, id_: str) -> Row | None:
    row = world.state.get(kind, id_)
    if row is not None and kind == "payment_method":
        return method_object(world, id_)
    return row if row is None or kind != "product" else _product(id_, row)


def _lines(world: World, row: Row, deeper: dict[str, Any]) -> Row:
    page = list_lines(world, row["id"], {"limit": 10})
    tree = deeper.get("data", {})
    return page | {"data": [_grow(world, item, tree) for item in page["data"]]}


def _refunds(world: World, row: Row, deeper: dict[str, Any]) -> Row:
    ids = (world.state.get("refunds_of", row["id"]) or {"ids": []})["ids"]
    mine = [world.state.rows["refund"][id_] for id_ in reversed(ids)]
    return _grow(
        world,
        {"object": "list", "data": mine[:10], "has_more": len(mine) > 10,
         "url": f"/v1/charges/{row['id']}/refunds"},
        deeper,
    )  # fmt: skip


def _totals(world: World, row: Row, deeper: dict[str, Any]) -> Row:
    details: Row = row["total_details"]
    if "breakdown" in deeper:
        return details | {"breakdown": breakdown(world.state.rows["checkout"][row["id"]]["lines"])}
    return details


_INCLUDED: dict[tuple[str, str], Callable[[World, Row, dict[str, Any]], Row]] = {
    ("checkout.session", "line_items"): _lines,
    ("checkout.session", "total_details"): _totals,
    ("charge", "refunds"): _refunds,
}


def _grow_line(world: World, row: Row, tree: dict[str, Any]) -> Row:
    """A line hides its taxes and discounts unless they are asked for."""
    line = {name: value for name, value in row.items() if name != "taxes"}
    for name, deeper in tree.items():
        if name == "taxes":
            line["taxes"] = row["taxes"]
        elif name == "discounts":
            line["discounts"] = []
        elif name == "price":
            line["price"] = _grow(world, row["price"], deeper)
        else:
            raise Refusal(f"This property cannot be expanded ({name}).", param="expand")
    return line


def _product(id_: str, row: Row) -> Row:
    return {
        "id": id_,
        "object": "product",
        "active": False,
        "created": row["created"],
        "default_price": None,
        "description": row.get("description"),
        "images": row.get("images", []),
        "livemode": False,
        "marketing_features": [],
        "metadata": row.get("metadata") or {},
        "name": row["name"],
        "package_dimensions": None,
        "shippable": None,
        "statement_descriptor": None,
        "tax_code": row.get("tax_code"),
        "type": "service",
        "unit_label": row.get("unit_label"),
        "updated": row["created"],
        "url": None,
    }
