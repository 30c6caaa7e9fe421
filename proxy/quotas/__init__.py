"""Quotas: budgets of a day or a month, leased ahead from counters in PostgreSQL."""
