"""The pages read the same from PostgreSQL: bought, paid, searched and listed once there too."""

from pathlib import Path

from tests.admin.conftest import enter
from tests.pages.street import open_street


def test_a_customer_and_the_merchant_meet_on_postgres(tmp_path: Path, postgres_url: str) -> None:
    with open_street(tmp_path, database_url=postgres_url) as street:
        visitor = street.visitor()
        back = street.pay(visitor.order(lastName="Garnier"))
        waiting = visitor.get(back)
        page = visitor.post("/commande/terminee", waiting.form("/commande/terminee"))
        assert page.title == "Merci Camille, c’est payé"
        merchant = enter(street.visitor())
        command = street.commands()[0]
        for query in ("", "?q=garnier", "?state=paid", f"?q={command.ref[1:]}"):
            assert command.ref in merchant.get(f"/marchand{query}").text
        assert command.ref not in merchant.get("/marchand?q=nobody%00").text
        shown = merchant.get(f"/marchand/commandes/{command.id}")
        assert "Payée" in shown.text and "Instantané" in shown.text
        odd = {"session_id": "cs\0", "command_id": command.id, "token": ""}
        assert street.visitor().post("/commande/terminee", odd).status == 404
        assert merchant.get("/marchand/evenements").status == 200
