"""The shop's own pages: the merchant's view of commands, read-only, and the demo's panel."""

from commande.admin.panel import Controls, DemoStatus, demo_panel
from commande.admin.rooms import merchant

__all__ = ["Controls", "DemoStatus", "demo_panel", "merchant"]
