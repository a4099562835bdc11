"""All SQL: plain functions, connection first; nothing else knows which database it is."""

from commande.db.engine import Database, open_database

__all__ = ["Database", "open_database"]
