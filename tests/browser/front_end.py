"""A shop's own front end on an origin of its own, written with the reference's JavaScript.

reference_example.js is that example to the letter. Two things are changed when it is served: the
addresses get the API's origin in front, because it is another one here, and the date, which has
passed, becomes one in the future.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

EXAMPLE = Path(__file__).with_name("reference_example.js").read_text(encoding="utf-8")
DATE = "'2025-12-15T14:00:00'"
PAGE = '<!doctype html><html lang="fr"><meta charset="utf-8"><title>Fleurs</title>\n'
PAGES = {
    "/": f"""{PAGE}<button id="order">Commander</button>
<script type="module">
document.querySelector("#order").addEventListener("click", () => import("/order.js"));
</script>""",
    "/commande/terminee": f"""{PAGE}<p id="said"></p>
<script type="module">
const log = console.log;
console.log = (...words) => {{
  document.querySelector("#said").textContent = words.join(" ");
  log(...words);
}};
await import("/finished.js");
</script>""",
    "/commande/annulee": f"""{PAGE}<button id="retry">Reprendre le paiement</button>
<script type="module">
const given = new URLSearchParams(window.location.search);
document.querySelector("#retry").addEventListener("click", async () => {{
  const answer = await fetch("/api/checkout/retry-payment", {{
    method: "POST",
    headers: {{ "Content-Type": "application/json" }},
    body: JSON.stringify({{ commandId: given.get("command_id"), token: given.get("token") }}),
  }});
  window.location.href = (await answer.json()).url;
}});
</script>""",
}


@dataclass
class FrontEnd:
    """Where it is, whom it calls, and which appointment its next customer wants."""

    url: str
    api: str = ""
    orders: int = 0

    def file(self, path: str) -> tuple[str, str] | None:
        """Type and text of a file; None where there is none."""
        first, _, rest = EXAMPLE.partition("// Step 3")
        if path == "/order.js":
            self.orders += 1
            # Another minute for each order: the same one within 60 seconds is a double click.
            at = datetime.now(UTC) + timedelta(days=2, minutes=self.orders)
            assert first.count(DATE) == 1
            return "text/javascript", self.aimed(first.replace(DATE, f"'{at:%Y-%m-%dT%H:%M}:00Z'"))
        if path == "/finished.js":
            return "text/javascript", self.aimed("// Step 3" + rest)
        return ("text/html", self.aimed(PAGES[path])) if path in PAGES else None

    def aimed(self, text: str) -> str:
        """With the API's origin in front of its paths."""
        return text.replace("'/api/", f"'{self.api}/api/").replace('"/api/', f'"{self.api}/api/')


@contextmanager
def running_front_end() -> Iterator[FrontEnd]:
    """Serve it from a thread, on a port of its own, until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = front_end.file(urlsplit(self.path).path)
            kind, text = found or ("text/plain", "")
            self.send_response(200 if found else 204)  # no picture for the tab: not an error
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            """Silence."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    front_end = FrontEnd(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield front_end
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
