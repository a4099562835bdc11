"""The application as a whole: its life, its health, its figures, and living in another program."""

import asyncio
import importlib
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from fastapi import APIRouter, FastAPI

from commande import create_app
from commande.db import tables
from commande.db.schema import migrate
from commande.errors import DatabaseBusy, SettingInvalid
from commande.settings import Settings, load_settings
from commande.web import answers, openapi
from commande.web.running import RunningFlows
from tests.support.frontend import (
    CONFIRM,
    CREATE,
    FrontEnd,
    listening,
    opened_to_the_public,
    session_of,
)
from tests.support.stage import staged


def settings(database_url: str, **more: Any) -> Settings:
    given = {
        "stripe_secret_key": "sk_test_x", "stripe_webhook_secrets": "whsec_x",
        "database_url": database_url, "_env_file": None,
    }  # fmt: skip
    return load_settings(**given | more)


async def readiness(app: Any) -> tuple[int, dict[str, bool]]:
    async with listening(app) as url:
        import aiohttp

        async with aiohttp.ClientSession() as http, http.get(f"{url}/readyz") as answer:
            document = await answer.json()
            return answer.status, {k: v["ok"] for k, v in document["checks"].items()}


async def test_readiness_tells_what_is_missing_and_how_to_mend_it(database_url: str) -> None:
    status, checks = await readiness(create_app(settings(database_url), worker=False))
    assert status == 503
    assert checks == {
        "database": True, "migrations": False, "module": False, "webhook_secret": True,
    }  # fmt: skip
    await asyncio.to_thread(migrate, database_url)
    status, checks = await readiness(create_app(settings(database_url), worker=False))
    assert status == 503
    assert checks == {
        "database": True, "migrations": True, "module": False, "webhook_secret": True,
    }  # fmt: skip


async def test_readiness_is_red_without_a_database(tmp_path: Path) -> None:
    away = settings(f"sqlite:///{tmp_path}/no/such/folder/shop.sqlite")
    status, checks = await readiness(create_app(away, worker=False))
    assert status == 503
    assert checks == {
        "database": False, "migrations": False, "module": False, "webhook_secret": True,
    }  # fmt: skip


async def test_a_ready_shop_is_ready(shop: FrontEnd) -> None:
    answer = await shop.get("/readyz")
    assert (answer.status, answer.json["status"]) == (200, "ready")
    assert all(check == {"ok": True, "detail": None} for check in answer.json["checks"].values())
    assert (await shop.get("/healthz")).json == {"status": "ok"}
    assert (await shop.ask("HEAD", "/healthz")).status == 200


async def test_the_figures_tell_what_happened(shop: FrontEnd) -> None:
    opened = await shop.buy()
    await shop.open()
    await shop.deliver((await shop.stage.events("checkout.session.completed"))[-1])
    figures = await numbers(shop)
    assert figures["commande_commands_opened_total"] == 2
    assert figures["commande_commands_paid_total"] == 0
    assert figures['commande_commands{status="unpaid"}'] == 2
    assert figures['commande_events{state="pending"}'] == 1
    assert figures["commande_event_age_seconds"] > 0
    await shop.stage.work()
    await asyncio.sleep(1.1)  # figures are read once a second
    figures = await numbers(shop)
    assert figures["commande_commands_paid_total"] == 1
    assert figures['commande_commands{status="paid"}'] == 1
    assert figures['commande_events{state="done"}'] == 1
    assert figures['commande_messages{state="sent"}'] == 1
    assert figures["commande_commands_attention"] == 0
    assert figures["commande_event_age_seconds"] == 0
    labels = f'method="POST",route="{CREATE}",status="200"'
    assert figures[f"commande_http_requests_total{{{labels}}}"] >= 2
    assert figures['commande_stripe_calls_total{operation="create_session",outcome="ok"}'] >= 2
    assert opened["commandId"] not in str(figures.keys())


async def numbers(front: FrontEnd) -> dict[str, float]:
    answer = await front.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    lines = [line for line in answer.body.decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


async def test_figures_are_missing_but_told_while_the_database_is_away(kiosk: FrontEnd) -> None:
    class Away:
        async def read(self, *_given: Any) -> Any:
            raise DatabaseBusy("gone")

    kiosk.app.state.metrics._shop = type("Shop", (), {
        "db": Away(), "clock": kiosk.stage.clock,
    })()  # fmt: skip
    figures = await numbers(kiosk)
    assert figures["commande_database_up"] == 0
    assert "commande_commands_paid_total" not in figures


async def test_it_mounts_under_a_prefix_of_another_program(
    sqlite_url: str, serve: Callable[..., str]
) -> None:
    async with staged(sqlite_url, serve) as stage:
        app = create_app(shop=stage.shop, worker=True)

        @asynccontextmanager
        async def lifespan(_host: FastAPI) -> AsyncIterator[None]:
            async with app.router.lifespan_context(app):
                yield

        host = FastAPI(lifespan=lifespan)
        host.mount("/boutique", app)

        @host.get("/api/products")
        async def own() -> dict[str, str]:
            return {"whose": "the host's"}

        import aiohttp

        async with listening(host) as url, aiohttp.ClientSession() as http:
            front = FrontEnd(stage, app, f"{url}/boutique", http)
            opened = await front.buy()
            assert (await front.confirm(opened)).json["command"]["paid"] is True
            assert (await front.get("/nowhere")).code == "not_found"
            too_long = await front.post("/api/checkout/webhook", b" " * (1024 * 1024 + 1))
            assert too_long.code == "body_too_large"
            assert (await front.post("/api/checkout/webhook", b" " * 100_000)).status == 400
            page = await front.get("/docs")
            assert page.status == 200 and b'href="docs/reference.css"' in page.body
            assert (await front.get("/docs/reference.css")).status == 200
            described = (await front.get("/openapi.json")).json
            assert described["servers"] == [{"url": "/boutique"}]
            assert app.state.worker is not None, "the worker lives with the host"
            cors = await front.get("/api/products", headers={"Origin": "https://x.example"})
            assert cors.headers["access-control-allow-origin"] == "*"
            outside = FrontEnd(stage, host, url, http)
            assert (await outside.get("/api/products")).json == {"whose": "the host's"}
        assert app.state.worker is None


async def test_a_shop_handed_in_stays_open_and_an_own_one_is_closed(
    sqlite_url: str, serve: Callable[..., str]
) -> None:
    async with staged(sqlite_url, serve) as stage:
        async with opened_to_the_public(stage, worker=True) as front:
            assert front.app.state.shop is stage.shop
        assert await stage.rows(tables.commands) == []
        assert await stage.rows(tables.workers) == [], "the worker said good-bye"
        app = create_app(stage.shop.settings)
        async with app.router.lifespan_context(app):
            pass
        with pytest.raises(DatabaseBusy):
            await app.state.shop.db.read(lambda _conn: None)


def test_a_wrong_setting_stops_the_start_with_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STRIPE_SECRET_KEY", raising=False)
    with pytest.raises(SettingInvalid, match="STRIPE_SECRET_KEY"):
        create_app()
    monkeypatch.setenv("STRIPE_SECRET_KEY", "sk_test_from_the_environment")
    monkeypatch.setenv("COMMANDE_DATABASE_URL", f"sqlite:///{tmp_path}/own.sqlite")
    assert create_app().state.shop.settings.database_url.endswith("own.sqlite")


async def test_extra_routers_join_with_all_the_guards(
    sqlite_url: str, serve: Callable[..., str]
) -> None:
    panel = APIRouter()

    @panel.get("/panel")
    async def show() -> dict[str, str]:
        raise ValueError("Canarina")

    async with (
        staged(sqlite_url, serve) as stage,
        opened_to_the_public(stage, extra_routers=[panel]) as front,
    ):
        answer = await front.get("/panel")
        assert (answer.status, answer.code) == (500, "internal_error")
        assert "x-request-id" in answer.headers and b"Canarina" not in answer.body


async def test_the_description_is_complete_and_true(shop: FrontEnd) -> None:
    document = (await shop.get("/openapi.json")).json
    assert document == openapi.describe(shop.app) | {"servers": [{"url": "/"}]}
    assert document["paths"].keys() == {
        CREATE, CONFIRM, "/api/checkout/retry-payment", "/api/checkout/webhook",
        "/api/checkout/commands/{command_id}", "/api/products", "/healthz", "/readyz", "/metrics",
    }  # fmt: skip
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert operation["summary"] and operation["description"], path
            assert "422" not in operation["responses"]
            for status, answer in operation["responses"].items():
                if status != "default":
                    (content,) = answer["content"].values()
                    assert content.get("example") or content.get("examples"), (path, status)
            if "requestBody" in operation:
                assert operation["requestBody"]["content"]["application/json"]["example"]
    assert not [name for name in document["components"]["schemas"] if "HTTP" in name]


async def test_every_example_fits_its_schema(shop: FrontEnd) -> None:
    document = (await shop.get("/openapi.json")).json
    found = 0
    for methods in document["paths"].values():
        for operation in methods.values():
            contents = [c for answer in operation["responses"].values()
                        for c in answer.get("content", {}).values()]  # fmt: skip
            contents += list(operation.get("requestBody", {}).get("content", {}).values())
            for content in contents:
                named = [each["value"] for each in content.get("examples", {}).values()]
                for example in [content[k] for k in ("example",) if k in content] + named:
                    if "schema" in content:
                        check(document, content["schema"], example)
                        found += 1
    assert found > 40


def check(document: Any, schema: Any, example: Any) -> None:
    whole = schema | {"components": document["components"]}
    jsonschema_rs.validator_for(whole).validate(example)


async def test_real_answers_are_as_described(shop: FrontEnd) -> None:
    opened = await shop.open(customer__fax="+33 1 42 68 53 00")
    answers.OpenedAnswer.model_validate(opened)
    await shop.pay(opened)
    for document in ((await shop.confirm(opened)).json, (await shop.status(opened)).json):
        answers.CommandAnswer.model_validate(document)
    answers.Products.model_validate((await shop.get("/api/products")).json)
    answers.Readiness.model_validate((await shop.get("/readyz")).json)
    answers.Problem.model_validate((await shop.create(items=[])).json)
    await shop.stage.pass_time(days=2)
    answers.CommandAnswer.model_validate((await shop.confirm(opened)).json)


async def test_the_reference_is_a_page_of_our_own(kiosk: FrontEnd) -> None:
    page = await kiosk.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "script" not in page.headers["content-security-policy"]
    text = page.body.decode()
    assert "<script" not in text and "http://" not in text.replace("http://localhost", "")
    for code in ("price_changed", "invalid_input", "already_paid", "event_foreign"):
        assert f"<code>{code}</code>" in text
    assert (await kiosk.get("/docs/reference.css")).headers["content-type"].startswith("text/css")


async def test_flows_that_never_end_are_cut_at_the_end() -> None:
    running = RunningFlows()
    waiting = asyncio.create_task(running.run(asyncio.sleep(60)))
    await asyncio.sleep(0.01)
    assert await running.finish(patience=0.05) == 1
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await running.finish() == 0


async def test_a_flow_that_fails_alone_is_told_quietly() -> None:
    running, begun, alone = RunningFlows(), asyncio.Event(), asyncio.Event()

    async def fail() -> None:
        begun.set()
        await alone.wait()
        raise ValueError("nobody hears this")

    waiting = asyncio.create_task(running.run(fail()))
    await begun.wait()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    alone.set()
    assert await running.finish() == 0


def test_the_stand_in_starts_without_the_house() -> None:
    program = (
        "import sys, commande.sandbox\n"
        "loaded = [m for m in sys.modules if m.startswith('commande.') and 'sandbox' not in m]\n"
        "print(loaded)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "['commande.version']"


def test_the_package_offers_two_names() -> None:
    package = importlib.import_module("commande")
    assert package.create_app is create_app and package.__version__
    assert not hasattr(package, "nothing_else")


async def test_paid_sessions_are_named_in_no_address(kiosk: FrontEnd) -> None:
    opened = await kiosk.buy()
    answer = await kiosk.confirm(opened)
    assert session_of(opened) not in repr(answer.headers)
