"""One order, told through every request and answer: the examples of the API's description."""

from typing import Any, Final

OPENED: Final[dict[str, Any]] = {
    "url": "https://checkout.stripe.com/c/pay/cs_test_a1B2c3D4",
    "commandId": "6744f3a09b1c2d3e4f506172",
    "ref": "#K7M2QX9A",
    "token": "pJ3vXx0aYqk1nLr8T2bWm5cZdE7fGh9i",
    "expiresAt": "2026-12-02T09:00:00.000Z",
}
ORDER: Final[dict[str, Any]] = {
    "items": [{"product_id": "507f1f77bcf86cd799439011", "quantity": 2, "type": "standard"}],
    "customer": {
        "firstName": "Ada",
        "lastName": "Martin",
        "email": "ada@example.com",
        "phone": "+33612345678",
        "address": "12 rue des Lilas",
        "postalCode": "75020",
        "city": "Paris",
        "country": "FR",
    },
    "appointment": "2026-12-15T14:00:00+01:00",
    "note": "Sonner deux fois.",
    "locale": "fr",
}
CONFIRM: Final[dict[str, Any]] = {
    "sessionId": "cs_test_a1B2c3D4",
    "commandId": OPENED["commandId"],
}
RETRY: Final[dict[str, Any]] = {
    "commandId": OPENED["commandId"],
    "token": OPENED["token"],
    "acceptTotal": 63.98,
}
_LINE: Final[dict[str, Any]] = {
    "product_id": "507f1f77bcf86cd799439011",
    "title": "Bouquet de saison",
    "type": "standard",
    "price": 29.99,
    "priceMinor": 2999,
    "quantity": 2,
    "total": 59.98,
    "totalMinor": 5998,
    "tax": 10,
    "taxMinor": 1000,
    "taxRate": 20,
    "taxInclusive": True,
}
_SNAPSHOT: Final[dict[str, Any]] = {
    "products": [_LINE],
    "totalPrice": 59.98,
    "totalPriceMinor": 5998,
    "currency": "eur",
    "taxes": [
        {
            "rate": 20,
            "country": "FR",
            "inclusive": True,
            "base": 49.98,
            "baseMinor": 4998,
            "amount": 10,
            "amountMinor": 1000,
        }
    ],
    "discounts": [],
}
_COMMAND: Final[dict[str, Any]] = {
    "_id": OPENED["commandId"],
    "ref": OPENED["ref"],
    "status": "paid",
    "paid": True,
    "paidAt": "2026-12-01T10:02:11.204Z",
    "module": "6744f0009b1c2d3e4f500001",
    "cart": {
        "products": [{"product_id": "507f1f77bcf86cd799439011", "quantity": 2, "type": "standard"}]
    },
    "customer": ORDER["customer"] | {"fax": None},
    "appointment": "2026-12-15T13:00:00.000Z",
    "note": "Sonner deux fois.",
    "cartSnapshot": _SNAPSHOT,
    "refunded": 0,
    "refundedMinor": 0,
    "currency": "eur",
    "createdAt": "2026-12-01T10:00:00.000Z",
    "updatedAt": "2026-12-01T10:02:11.204Z",
}
PAID: Final[dict[str, Any]] = {"command": _COMMAND}
PROCESSING: Final[dict[str, Any]] = {
    "command": _COMMAND
    | {"status": "processing", "paid": False, "paidAt": None, "cartSnapshot": None}
}
EVENT: Final[dict[str, Any]] = {
    "id": "evt_1a2B3c",
    "object": "event",
    "type": "checkout.session.completed",
    "created": 1796119331,
    "livemode": False,
    "data": {"object": {"id": "cs_test_a1B2c3D4", "object": "checkout.session"}},
}
PRODUCTS: Final[dict[str, Any]] = {
    "products": [
        {
            "_id": "507f1f77bcf86cd799439011",
            "title": "Bouquet de saison",
            "description": "Une brassée de fleurs du moment.",
            "image": "/static/img/bouquet.svg",
            "prices": [
                {
                    "type": "standard",
                    "price": 29.99,
                    "priceMinor": 2999,
                    "currency": "eur",
                    "default": True,
                }
            ],
            "taxRate": 20,
            "taxInclusive": True,
        }
    ]
}
READY: Final[dict[str, Any]] = {
    "status": "ready",
    "checks": {
        "database": {"ok": True, "detail": None},
        "migrations": {"ok": True, "detail": None},
        "module": {"ok": True, "detail": None},
        "webhook_secret": {"ok": True, "detail": None},
    },
}
NOT_READY: Final[dict[str, Any]] = {
    "status": "not_ready",
    "checks": READY["checks"]
    | {"webhook_secret": {"ok": False, "detail": "Set STRIPE_WEBHOOK_SECRET."}},
}
METRICS: Final = "commande_commands_paid_total 128.0\ncommande_commands_attention 0.0\n"
