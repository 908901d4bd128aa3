"""Every way to ask for money or resources: the same tests go through each of them."""

from safeguards import BudgetExceededError

DEBITS = [
    f"{owner}.{form}debit" for owner in ("coordinator", "account", "resources") for form in ("", "try_")
]
RESERVES = [name.replace("debit", "reserve") for name in DEBITS]


class Door:
    """One way to ask for money, or for as many calls, from the same numbers."""

    def __init__(self, coordinator, resources, name):
        self.coordinator, self.resources = coordinator, resources
        self.owner, self.method = name.split(".")

    def __call__(self, amount, **options):
        if self.owner == "account":
            return getattr(self.coordinator.account("bot"), self.method)(amount, **options)
        owner = self.resources if self.owner == "resources" else self.coordinator
        return getattr(owner, self.method)("bot", self.what(amount), **options)

    def what(self, amount):
        return {"calls": amount} if self.owner == "resources" else amount

    def other(self, method):
        """The door beside it that does something else."""
        return Door(self.coordinator, self.resources, f"{self.owner}.{method}")

    def settle(self, reservation, amount):
        return reservation.settle(self.what(amount))

    @property
    def books(self):
        """Reserved and spent."""
        c, r = self.coordinator, self.resources
        of_calls = self.owner == "resources"
        metrics = r.get_metrics("bot", "calls") if of_calls else c.get_agent_metrics("bot")
        return metrics.reserved, metrics.spent

    def refuses(self, amount, **options):
        """Whether a budget does: by an error, or the answer of a `try_` form."""
        try:
            return self(amount, **options) in (None, False)
        except BudgetExceededError:
            return True
