"""The API as somebody reads it who has the contract alone."""

from tests.support.frontend import FrontEnd


async def test_an_appointment_far_ahead_is_the_shops_own_business(shop: FrontEnd) -> None:
    """The contract asks for the future; what else it must be, the module's rules say."""
    for day in ("2035-06-30T10:00:00", "2099-12-15T14:00:00.000Z"):
        assert (await shop.create(appointment=day)).status == 200
