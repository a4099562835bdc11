"""The verbs of a shop that sells: its commands, its catalogue, its books."""

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import termios
from pathlib import Path
from typing import Any

from tests.support.premises import COMMANDE, Premises
from tests.support.shopper import CREATE, GOOD, Shopper, wishes
from tests.support.stage import BOUQUET

NAME = "[/red] :bug: [bold]Ada"


def listed(premises: Premises, *words: str) -> list[str]:
    return [command["_id"] for command in json.loads(premises.run("commands", "list", *words))]


def test_a_command_is_found_by_its_id_and_its_reference_and_shown_as_it_was_written(
    premises: Premises,
) -> None:
    shopper = Shopper(premises)
    body = wishes(shopper.email)
    body["customer"]["firstName"] = NAME
    shopper.opened = shopper.post(CREATE, body).json
    ref = shopper.opened["ref"]
    stories = [
        premises.run("commands", "show", name)
        for name in (shopper.command_id, ref, ref.removeprefix("#").lower())
    ]
    assert stories[0] == stories[1] == stories[2]
    assert f"{NAME} Doe, {shopper.email}" in stories[0], "not read as colours and pictures"
    assert ref in premises.run("commands", "list", "--unpaid")


def test_cancel_refund_and_the_lists_by_state(premises: Premises) -> None:
    paid, left = Shopper(premises), Shopper(premises)
    paid.orders()
    paid.pays_with(GOOD)
    paid.sees_paid(by="webhook")
    left.orders()
    assert paid.command_id in listed(premises, "--paid", "--json")
    assert left.command_id in listed(premises, "--unpaid", "--json")
    assert listed(premises, "--json")[0] == left.command_id, "newest first"
    assert "nothing can be paid any more" in premises.run("commands", "cancel", left.command_id)
    assert left.session()["status"] == "expired"
    told = premises.run("commands", "refund", paid.opened["ref"], "--amount", "12,50")
    assert told.startswith("12.50 EUR will be given back; “commande commands show ")
    assert "#" not in told, "a shell would take the rest for a comment"
    assert paid.sees("partially_refunded")["refunded"] == 12.5
    premises.run("commands", "refund", paid.command_id, "--amount", "1000", status=2)
    premises.run("commands", "cancel", paid.command_id, status=2)
    assert premises.run("commands", "seen", paid.command_id) == "It was not on the list.\n"
    assert listed(premises, "--attention", "--json") == []


def test_reconcile_and_cleanup_say_what_they_did(premises: Premises) -> None:
    shopper = Shopper(premises)
    shopper.orders()
    would = json.loads(premises.run("cleanup", "--older-than", "0s", "--dry-run", "--json"))
    assert shopper.command_id in would["overdue"]
    done = json.loads(premises.run("cleanup", "--older-than", "0s", "--json"))
    assert shopper.command_id in done["expired"]
    assert done["waiting"] == []
    report = json.loads(premises.run("reconcile", "--since", "1h", "--json"))
    assert (report["complete"], report["unaccountedMinor"], report["open"]) == (True, {}, [])
    assert "charges compared" in premises.run("reconcile")
    assert "bad" not in premises.run("doctor"), "a shop that sells has nothing to mend"


def test_the_catalogue_goes_out_and_in_and_open_shops_see_it(
    premises: Premises, tmp_path: Path
) -> None:
    before = json.loads(premises.run("products", "list", "--json"))
    file = tmp_path / "catalogue.json"
    file.write_text(json.dumps(before), encoding="utf-8")
    assert premises.run("products", "import", str(file)).startswith("0 added, ")
    assert json.loads(premises.run("products", "list", "--json")) == before
    csv = tmp_path / "more.csv"
    csv.write_text('_id,title,taxRate,type,price\n,Ruban [/],20,au mètre,"1,20"\n', "utf-8")
    assert premises.run("products", "import", str(csv)) == "1 added, 0 replaced.\n"
    assert "Ruban [/]" in premises.run("products", "list")
    premises.run("products", "set-price", BOUQUET, standard(before), "31.50")
    shopper = Shopper(premises)
    shopper.orders(quantity=2)
    assert shopper.session()["amount_total"] == 6300


def standard(catalogue: list[dict[str, Any]]) -> str:
    """The price type that is taken when the cart names none."""
    prices = next(product["prices"] for product in catalogue if product["_id"] == BOUQUET)
    default = next((price for price in prices if price["default"]), prices[0])
    return str(default["type"])


def test_module_settings_are_kept_as_json(premises: Premises) -> None:
    premises.run("module", "set", "commands", 'appointments={"days": 3}', "motto=[/red] oui")
    [module] = json.loads(premises.run("module", "show", "--json"))
    assert module["settings"] == {"appointments": {"days": 3}, "motto": "[/red] oui"}
    assert "[/red] oui" in premises.run("module", "show")
    premises.run("module", "set", "commands", "appointments=", "motto=")
    [module] = json.loads(premises.run("module", "show", "--json"))
    assert module["settings"] == {}


def test_long_work_shows_how_fast_it_is_and_what_is_left_on_a_terminal(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    verb = [*COMMANDE, "simulate", "--checkouts", "100", "--seed", "1"]
    process = subprocess.Popen(
        verb, stdout=subprocess.PIPE, stderr=theirs, cwd=tmp_path,
        env=os.environ | {"TERM": "xterm"},
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 4096):
            shown += piece
    except OSError:  # how Linux tells that nobody writes there any more
        pass
    os.close(ours)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "No invariant broke." in printed.decode()
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode())
    assert re.search(r"Simulating .* \d+/1\d\d .*\d/s", text), text
