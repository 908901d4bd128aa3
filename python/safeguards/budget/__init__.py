"""Rate limits, and the policies that steer budgets."""
