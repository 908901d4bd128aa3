"""Guard a call of a model: reserve the most that it can cost, settle what it did."""

from decimal import Decimal

from safeguards import BudgetCoordinator, BudgetExceededError

PRICE_PER_TOKEN = Decimal("0.00001")
MAX_TOKENS = 1_000


def call_model(question: str) -> tuple[str, int]:
    """Stands for a real model: an answer, and the number of tokens that it took."""
    return question.upper(), 40 * len(question)


def ask(coordinator: BudgetCoordinator, agent: str, question: str) -> str:
    """Asks the model, unless the longest answer could not be paid for."""
    with coordinator.reserve(agent, PRICE_PER_TOKEN * MAX_TOKENS, operation_type="chat") as reservation:
        answer, tokens = call_model(question)  # if this raises, the money is returned
        reservation.settle(PRICE_PER_TOKEN * tokens)
    return answer


def main() -> None:
    """Asks until the budget cannot pay for another answer."""
    coordinator = BudgetCoordinator()
    team = coordinator.create_budget_pool("team", "5.00", budget_period="daily", timezone="UTC")
    agent = coordinator.register_agent("helper", team, initial_budget="0.02")
    for question in ("what is a budget?", "and a pool?", "who pays?", "why?"):
        try:
            print(ask(coordinator, agent, question), coordinator.get_budget(agent))
        except BudgetExceededError as error:
            print(f"refused: {error.requested} asked, {error.available} there")


if __name__ == "__main__":
    main()
