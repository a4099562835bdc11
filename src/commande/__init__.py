"""The checkout backend: a cart becomes a command, is paid once, and keeps its price snapshot.

``create_app`` is imported on first use, so that ``commande.sandbox`` and the command line start
without the whole house.
"""

from typing import TYPE_CHECKING, Any

from commande.version import __version__

if TYPE_CHECKING:
    from commande.web.app import create_app

__all__ = ["__version__", "create_app"]


def __getattr__(name: str) -> Any:
    if name == "create_app":
        from commande.web.app import create_app

        return create_app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
