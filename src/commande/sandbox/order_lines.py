"""The lines of a session: checked, priced, taxed."""

from decimal import ROUND_HALF_UP, Decimal

from commande.sandbox import money
from commande.sandbox.errors import Refusal, missing
from commande.sandbox.store import Row
from commande.sandbox.tax import LineTax, tax_lines
from commande.sandbox.world import World


def make_lines(world: World, given: Row) -> tuple[str, list[Row]]:
    """The currency and the line items of checked parameters. Raises Refusal."""
    lines = given["line_items"]
    for index, line in enumerate(lines):
        _check_line(line, f"line_items[{index}]")
    currency = _check_currency(given, lines)
    amounts = [_line_amount(line, currency, index) for index, line in enumerate(lines)]
    rates = [_find_rates(world, line, index) for index, line in enumerate(lines)]
    taxes = tax_lines(
        [(unit * line["quantity"], rate)
         for (unit, _), line, rate in zip(amounts, lines, rates, strict=True)],
        world.settings.tax_rounding,
    )  # fmt: skip
    return currency, [
        _line_item(world, line, currency, amount, tax)
        for line, amount, tax in zip(lines, amounts, taxes, strict=True)
    ]


def _check_line(line: Row, spot: str) -> None:
    if "price" in line and "price_data" not in line:
        raise missing("price", line["price"], f"{spot}[price]", status=400)
    _check_one_of(line, ("price_data", "price"), spot)
    if "quantity" not in line:
        raise Refusal(f"Quantity is required. Add `quantity` to `{spot}`",
                      code="parameter_missing", param=f"{spot}[quantity]")  # fmt: skip
    price, spot = line["price_data"], f"{spot}[price_data]"
    if "product" in price and "product_data" not in price:
        raise missing("product", price["product"], f"{spot}[product]", status=400)
    _check_one_of(price, ("product_data", "product"), spot)
    _check_one_of(price, ("unit_amount", "unit_amount_decimal"), spot)


def _check_one_of(given: Row, names: tuple[str, str], spot: str) -> None:
    present = [name for name in names if name in given]
    if not present:
        raise Refusal(f"Missing required param: {spot}[{names[0]}].", code="parameter_missing",
                      param=f"{spot}[{names[0]}]")  # fmt: skip
    if len(present) > 1:
        raise Refusal(f"You may only specify one of these parameters: {', '.join(present)}.",
                      code="parameters_exclusive", param=f"{spot}[{present[0]}]")  # fmt: skip


def _check_currency(given: Row, lines: list[Row]) -> str:
    for index, line in enumerate(lines):
        spot = f"line_items[{index}][price_data][currency]"
        currency = line["price_data"]["currency"].lower()
        line["price_data"]["currency"] = currency
        if currency not in money.CURRENCIES:
            raise Refusal(
                f"Invalid currency: {currency}. Stripe currently supports these currencies: "
                f"{', '.join(sorted(money.CURRENCIES))}",
                param=spot,
            )
        wanted = given.get("currency", lines[0]["price_data"]["currency"]).lower()
        if currency != wanted:
            raise Refusal(f"All line items must be in the same currency: found {currency}, "
                          f"expected {wanted}.", param=spot)  # fmt: skip
    return str(lines[0]["price_data"]["currency"])


def _line_amount(line: Row, currency: str, index: int) -> tuple[int, Decimal]:
    """Unit amount in whole minor units, and as it was given."""
    price = line["price_data"]
    exact = Decimal(price.get("unit_amount", price.get("unit_amount_decimal")))
    unit = int(exact.quantize(Decimal(1), rounding=ROUND_HALF_UP))
    money.check_digits(unit, currency, f"line_items[{index}][price_data][unit_amount]")
    return unit, exact


def _find_rates(world: World, line: Row, index: int) -> list[Row]:
    rates = []
    for place, id_ in enumerate(line.get("tax_rates", [])):
        spot = f"line_items[{index}][tax_rates][{place}]"
        rate = world.state.get("tax_rate", id_)
        if rate is None:
            raise missing("tax rate", id_, spot, status=400)
        if not rate["active"]:
            raise Refusal(f"The tax rate {id_} is archived and can't be used on new sessions.",
                          param=spot)  # fmt: skip
        rates.append(rate)
    return rates


def _line_item(
    world: World, line: Row, currency: str, amount: tuple[int, Decimal], taxes: list[LineTax]
) -> Row:
    unit, exact = amount
    subtotal = unit * line["quantity"]
    added = sum(tax.amount for tax in taxes if not tax.rate["inclusive"])
    product = line["price_data"]["product_data"]
    return {
        "id": world.ids.new("li_1"),
        "object": "item",
        "adjustable_quantity": None,
        "amount_discount": 0,
        "amount_subtotal": subtotal,
        "amount_tax": sum(tax.amount for tax in taxes),
        "amount_total": subtotal + added,
        "currency": currency,
        "description": product["name"],
        "metadata": line.get("metadata") or {},
        "price": _price(world, line, currency, unit, exact),
        "quantity": line["quantity"],
        "taxes": [
            {"amount": tax.amount, "rate": tax.rate, "taxability_reason": None,
             "taxable_amount": tax.taxable}
            for tax in taxes
        ],
    }  # fmt: skip


def _price(world: World, line: Row, currency: str, unit: int, exact: Decimal) -> Row:
    whole = exact == unit
    product = world.ids.new("prod_", 14)
    described = {"created": world.now, **line["price_data"]["product_data"]}
    world.state.put("product", product, described)
    return {
        "id": world.ids.new("price_1"),
        "object": "price",
        "active": False,  # made for this line alone
        "billing_scheme": "per_unit",
        "created": world.now,
        "currency": currency,
        "custom_unit_amount": None,
        "livemode": False,
        "lookup_key": None,
        "metadata": {},
        "nickname": None,
        "product": product,
        "recurring": None,
        "tax_behavior": line["price_data"].get("tax_behavior", "unspecified"),
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "one_time",
        "unit_amount": unit if whole else None,
        "unit_amount_decimal": str(unit) if whole else format(exact.normalize(), "f"),
    }


def breakdown(items: list[Row]) -> Row:
    """Taxes by rate over all lines, for `expand[]=total_details.breakdown`."""
    taxes: dict[str, Row] = {}
    for item in items:
        for tax in item["taxes"]:
            sum_ = taxes.setdefault(tax["rate"]["id"], {**tax, "amount": 0, "taxable_amount": 0})
            sum_["amount"] += tax["amount"]
            sum_["taxable_amount"] += tax["taxable_amount"]
    return {"discounts": [], "taxes": list(taxes.values())}
