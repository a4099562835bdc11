"""Deterministic simulation: the real flows, core and SQL under a seeded scheduler.

One seed is one world: a shop of several processes, its customers, a hostile caller, a shopkeeper,
the stand-in for Stripe, and everything that can break between them. Nothing here runs in a shop.
"""
