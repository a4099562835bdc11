"""The business, one file per journey, each reading T, N, T: transaction, network, transaction.

A flow awaits ``shop.db``, ``shop.stripe``, ``shop.mail``, ``shop.clock`` and other flows, nothing
else, so that the simulation can drive the very same coroutines.
"""
