"""The tables as they came to be, one step per module in ``versions``; run by Alembic."""
