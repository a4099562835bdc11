"""What the payment page shows of a session: lines, taxes and totals in the buyer's words."""

from typing import Any

from commande.sandbox.money import exponent
from commande.sandbox.order_lines import breakdown
from commande.sandbox.page_form import group
from commande.sandbox.store import Row
from commande.sandbox.texts import FIRST_TESTS, count_word, figure, percentage
from commande.sandbox.world import World


def describe(world: World, session: Row, words: dict[str, Any]) -> dict[str, Any]:
    """Everything about the session that the templates write."""
    lang, currency = words["lang"], session["currency"]
    digits = exponent(currency)
    lines = world.state.rows["checkout"][session["id"]]["lines"]

    def written(amount: int) -> str:
        return figure(amount, currency, digits, lang)

    taxes = breakdown(lines)["taxes"]
    total = written(session["amount_total"])
    free = session["amount_total"] == 0
    custom = session["custom_text"].get("submit")
    return {
        "session": session,
        "shop": session["branding_settings"]["display_name"],
        "total": total,
        "lines": [_line(world, line, words, written) for line in lines],
        "subtotal": written(session["amount_subtotal"])
        if session["amount_subtotal"] != session["amount_total"]
        else None,
        "taxes": [
            {"name": _tax_name(tax["rate"], words), "amount": written(tax["amount"])}
            for tax in taxes
        ],
        "free": free,
        "button": words["finish"] if free else words["pay"].format(total=total),
        "submit_text": custom["message"] if custom else None,
        "methods": session["payment_method_types"],
    } | _tests(session["payment_method_types"], words)


def _line(world: World, line: Row, words: dict[str, Any], written: Any) -> dict[str, Any]:
    product = world.state.rows["product"][line["price"]["product"]]
    unit = line["price"]["unit_amount"]
    each = None
    if line["quantity"] > 1 and unit is not None:
        each = words["quantity"].format(quantity=line["quantity"], each=written(unit))
    return {
        "name": line["description"],
        "description": product.get("description"),
        "each": each,
        "amount": written(line["amount_subtotal"]),
    }


def _tax_name(rate: Row, words: dict[str, Any]) -> str:
    how = words["included" if rate["inclusive"] else "added"]
    return str(
        how.format(
            name=rate["display_name"], percentage=percentage(rate["percentage"], words["lang"])
        )
    )


def _tests(methods: list[str], words: dict[str, Any]) -> dict[str, Any]:
    tests = [
        {"number": number, "shown": group(number), "fate": fate}
        for number, fate in words["tests"].items()
        if ("sepa_debit" if number[:2].isalpha() else "card") in methods
    ]
    # Without SEPA its two cases leave the first list, nothing moves up into it.
    first = [test for test in tests if test["number"] in list(words["tests"])[:FIRST_TESTS]]
    more = tests[len(first) :]
    return {
        "first_tests": first,
        "more_tests": more,
        "more_tests_title": words["more"].format(count=count_word(len(more), words["lang"])),
    }
