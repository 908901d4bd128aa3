"""The parts of `BudgetRLOptimizer`: what it saw, what that is worth, what it learnt."""
