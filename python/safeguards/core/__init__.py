"""The coordinator of budgets, and whom it tells."""
