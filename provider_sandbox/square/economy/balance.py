"""What Square owes each location, and the payouts that bring it to the bank."""

from collections import defaultdict
from dataclasses import dataclass

from provider_sandbox.ledger import Json
from provider_sandbox.square import shapes
from provider_sandbox.square.account import DAY, Ref, SquareAccount
from provider_sandbox.square.economy.people import People


@dataclass(frozen=True, slots=True)
class Owed:
    """An entry of the next payout; amounts in minor units, ``at`` in milliseconds."""

    type: str
    gross: int
    fee: int
    at: int
    details: Json


class Balance(People):
    """Payouts, day by day and location by location."""

    def __init__(self, account: SquareAccount) -> None:
        super().__init__(account)
        self._owed: defaultdict[str, list[Owed]] = defaultdict(list)
        self._disputed: set[str] = set()
        self.bank = f"bact:{account.id_for(21)}"

    def owe(self, location: str, type: str, gross: int, fee: int, details: Json) -> None:
        """Have the next payout of a location carry this."""
        self._owed[location].append(Owed(type, gross, fee, self.stamp(), details))

    @property
    def unpaid(self) -> dict[str, int]:
        """What the next payout of each location would be."""
        return {
            location: sum(one.gross - one.fee for one in owed)
            for location, owed in self._owed.items()
        }

    def end_day(self) -> None:
        """Pay out every location, and again tomorrow."""
        for location in list(self._owed):
            self.pay_out(location)
        self.schedule(self.at + DAY, "end_day")

    def pay_out(self, location: str = "") -> Ref | None:
        """Pay out what is owed to a location; a negative sum is withdrawn, nothing is no payout."""
        waiting = [one for one, net in self.unpaid.items() if net]
        if not location and waiting:
            location = self.random.choice(waiting)
        if location not in waiting:
            return None
        account, at = self.account, self.stamp()
        owed = self._owed.pop(location)
        total = sum(one.gross - one.fee for one in owed)
        arrival = self.at + DAY
        payout = shapes.payout(
            f"po_{account.uuid()}", at, amount=self.cash(total), location=location, bank=self.bank,
            arrival=self.local_date(arrival).isoformat(),
        )  # fmt: skip
        for one in owed:
            entry = shapes.payout_entry(
                f"poe_{account.id_for(26)}", payout["id"], one.at, type=one.type, gross=one.gross,
                fee=one.fee, currency=account.currency, details=one.details,
            )  # fmt: skip
            account.save("payout_entries", entry)
        self.schedule(arrival, "settle_payout", payout["id"])
        return self.added("payouts", payout, at, "sent")

    def settle_payout(self, id: str = "") -> Ref | None:
        """The bank takes a payout, or returns it, and the money goes into a later one."""
        payout = self.chosen("payouts", id, lambda one: one["status"] == "SENT")
        if payout is None:
            return None
        if self.chance(0.03):
            amount = payout["amount_money"]["amount"]
            self.owe(payout["location_id"], "RETURNED_PAYOUT", amount, 0, {})
            return self.changed("payouts", payout["id"], {"status": "FAILED"}, verb="failed")
        return self.changed("payouts", payout["id"], {"status": "PAID"}, verb="paid")
