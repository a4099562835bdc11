"""`commande demo` from its start to its end."""

import json
import os
from pathlib import Path
from urllib.request import urlopen

from playwright.async_api import Page

from commande.db.commands import list_commands
from tests.browser.front_end import DATE, EXAMPLE
from tests.support.demo import PATIENCE, Demo, is_alive, running_demo, start_demo
from tests.support.ports import free_port
from tests.support.serving import answers, wait_until
from tests.support.shopper import ask, wishes


def test_it_prints_four_lines_and_sells_at_once(demo: Demo) -> None:
    lines = demo.printed.splitlines()
    assert len(lines) == 4, demo.printed
    assert demo.url in lines[0]
    assert "4242 4242 4242 4242" in lines[2]
    with urlopen(f"{demo.url}/api/products", timeout=PATIENCE) as answer:
        products = json.load(answer)["products"]
    assert products[0]["_id"] == "507f1f77bcf86cd799439011"
    assert answers(demo.url)
    wait_until(lambda: answers(f"{demo.url}/readyz"), "the demo to be ready")


async def test_the_reference_works_there_as_printed_but_for_its_date(
    demo: Demo, page: Page
) -> None:
    await page.goto(demo.url)
    first_step = EXAMPLE.partition("// Step 2")[0].replace(DATE, "Date.now() + 3 * 86400000")
    made = await page.evaluate(
        f"async () => {{ {first_step} return [response.status, url, commandId] }}"
    )
    status, url, command_id = made
    assert status == 200
    assert url.startswith(f"{demo.url}/sandbox/c/pay/cs_test_")
    assert len(command_id) == 24
    assert await page.evaluate("localStorage.getItem('pendingCommandId')") == command_id


def test_a_second_start_keeps_everything_and_fresh_begins_again(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with running_demo(folder) as first:
        place_an_order(first)
        password = first.password
        server = first.server()
        assert server
        assert first.interrupt() == 0
        assert not is_alive(server)
        assert not answers(first.url)
    with running_demo(folder) as second:
        assert second.password == password
        assert len(second.read(list_commands)) == 1
        taken = start_demo(folder, port=free_port())
        assert taken.process.wait(PATIENCE) == 2
        assert_one_line(taken, "Another demo runs in")
    with running_demo(folder, "--fresh") as fresh:
        assert fresh.read(list_commands) == []
        assert fresh.password != password
        # Whoever watches the server is killed: it must not stay behind alone.
        server = fresh.server()
        fresh.process.kill()
        fresh.process.wait()
        wait_until(lambda: not is_alive(server), "the server's end")


def place_an_order(demo: Demo) -> None:
    path = f"{demo.url}/api/checkout/create-stripe-checkout-session"
    body = json.dumps(wishes("john@example.com")).encode()
    assert ask("POST", path, body, {"Content-Type": "application/json"}).status == 200


def test_a_port_in_use_is_one_clear_line(demo: Demo, tmp_path: Path) -> None:
    other = start_demo(tmp_path / "data", port=demo.port)
    assert other.process.wait(PATIENCE) == 2
    assert_one_line(other, f"Port {demo.port}: Address already in use. PORT={demo.port + 1}")
    assert not (tmp_path / "data").exists()


def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "locked").mkdir(mode=0o500)
    # Even root, whom no mode keeps out, cannot write there.
    locked = tmp_path / "locked" if os.geteuid() else Path("/proc/self/task")
    for name, folder in {"a": tmp_path / "file" / "data", "b": locked}.items():
        demo = start_demo(folder, output=tmp_path / name)
        assert demo.process.wait(PATIENCE) == 2
        assert_one_line(demo, "Choose --dir")


def test_data_that_somebody_damaged_is_one_clear_line_and_fresh_mends_it(tmp_path: Path) -> None:
    damages = {
        "cut": lambda at: (at / "demo.json").write_text("{"),
        "not ours": lambda at: (at / "demo.json").write_text("[]"),
        "half": lambda at: (at / "demo.json").write_text('{"admin_password": "x"}'),
        "a folder": lambda at: (at / "demo.json").mkdir(),
        "a file": lambda at: (at / "mails").touch(),
        "Stripe forgot": lambda at: (at / "stripe.sqlite").write_text("no database"),
        "no database": lambda at: (at / "commande.sqlite").write_text("no database"),
    }
    for name, damage in damages.items():
        (tmp_path / name).mkdir()
        damage(tmp_path / name)
        demo = start_demo(tmp_path / name, output=tmp_path / f"output of {name}")
        assert demo.process.wait(60) == 2, name
        assert_one_line(demo, "--fresh forgets the demo's data and begins again")
    with running_demo(tmp_path / "cut", "--fresh") as mended:
        assert answers(f"{mended.url}/readyz")


def assert_one_line(demo: Demo, words: str) -> None:
    complaint = demo.errors.read_text(encoding="utf-8")
    assert words in complaint
    assert len(complaint.splitlines()) == 1, complaint
    assert demo.printed == ""
