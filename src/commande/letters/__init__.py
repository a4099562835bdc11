"""The letters that a shop sends: what they say and how they look."""

from commande.letters.letter import Links, render_letter

__all__ = ["Links", "render_letter"]
