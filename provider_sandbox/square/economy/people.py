"""Who buys: customers, their loyalty points, and gift cards."""

from provider_sandbox.ledger import Json
from provider_sandbox.square import shapes
from provider_sandbox.square.account import Ref, SquareAccount, iso
from provider_sandbox.square.economy.catalogue import Catalogue
from provider_sandbox.square.money import money

NAMES: tuple[tuple[str | None, str | None], ...] = (
    ("Zoë", "Løw"), ("Siobhán", "O'Neill"), ("Łukasz", "Żółć"), ("Robert \"Bob\"", "Tables"),
    ("美咲", "鈴木"), ("Ana María", "Núñez"), ("Jean-François", "d'Églantine"), ("Mo", None),
    ("Björk", "Guðmundsdóttir"), ("عمر", "خليل"), (None, "Ng"), ("Amélie \\ A.", "Åström"),
)  # fmt: skip
SOURCES = ("DIRECTORY", "ONLINE_STORE", "THIRD_PARTY", "LOYALTY", "IMPORT")
REWARD_POINTS = 10


class People(Catalogue):
    """Customers, loyalty and gift cards."""

    program: str
    spend: int

    def __init__(self, account: SquareAccount) -> None:
        super().__init__(account)
        self._members: dict[str, str] = {}

    def add_customer(self) -> Ref:
        """A new customer; one in twelve is an instant profile, that no list shows."""
        at, account = self.stamp(), self.account
        id = account.upper_id(26)
        instant = self.chance(0.08)
        given, family = (None, None) if instant else self.random.choice(NAMES)
        number = self.random.randrange(10**7)
        customer = shapes.customer(
            id, at, given=given, family=family,
            email=f"guest.{id[-8:].lower()}@mail.example"
            if not instant and self.chance(0.8) else None,
            phone=f"+1415{number:07d}" if not instant and self.chance(0.6) else None,
            company="Müller & Söhne \"Bar\"" if self.chance(0.05) and not instant else None,
            source="INSTANT_PROFILE" if instant else self.random.choice(SOURCES),
            reference=f"crm-{number}" if self.chance(0.2) else None,
            note="Table “4”\nno nuts" if self.chance(0.1) else None, country=account.country,
        )  # fmt: skip
        return self.added("customers", customer, at)

    def edit_customer(self, id: str = "") -> Ref | None:
        """Change a name, number or note, or name an instant profile, which lists show from then
        on."""
        found = self.chosen("customers", id)
        unlisted = self.account.unlisted.sorted("created")
        if not id and unlisted and self.chance(0.15):
            found = self.random.choice(unlisted).object
        if found is None:
            return None
        given, family = self.random.choice(NAMES)
        changes: Json = self.random.choice(
            (
                {"given_name": given or "Kim", "family_name": family or "Ng"},
                {"note": f"seen at {self.at}", "phone_number": "+15550000000"},
                {"preferences": {"email_unsubscribed": True}},
            )
        )
        if found["id"] in self.account.unlisted:
            changes = {"given_name": given or "Kim"}
        return self.changed("customers", found["id"], changes)

    def delete_customer(self, id: str = "") -> Ref | None:
        """Delete a customer: orders and payments keep the id. Loyalty accounts go too."""
        found = self.chosen("customers", id)
        if found is None:
            return None
        account = self._loyalty_of(found["id"])
        if account is not None:
            self.account.delete("loyalty_accounts", account["id"], at=self.stamp())
        self.account.delete("customers", found["id"], at=self.stamp())
        return Ref("customers", found["id"])

    def merge_customers(self, one: str = "", other: str = "") -> Ref | None:
        """Two customers turn out to be the same: a new one of what both told takes their place and
        answers to their ids, which orders and payments keep. Invoices and points become theirs."""
        first = self.chosen("customers", one)
        second = first and self.chosen(
            "customers",
            other,
            lambda found: (
                found["id"] != first["id"]
                and not (self._loyalty_of(found["id"]) and self._loyalty_of(first["id"]))
            ),
        )
        if first is None or second is None:
            return None
        at, id = self.stamp(), self.account.upper_id(26)
        told = {"id": id, "created_at": iso(at), "updated_at": iso(at), "version": 0}
        merged = {**second, **first, **told, "creation_source": "MERGE"}
        ids = [first["id"], second["id"]]
        context: Json = {"merge": {"from_customer_ids": ids, "to_customer_id": id}}
        self.account.save("customers", merged)
        self.account.emit("customers", "created", merged, at=at, context=context)
        for old in ids:
            self.account.delete("customers", old, at=self.stamp(), context=context)
            self.account.merged[old] = id
            if account := self._loyalty_of(old):
                self._members[id] = self._members.pop(old)
                self.changed("loyalty_accounts", account["id"], {"customer_id": id})
        for row in list(self.account.table("invoices")):
            if row.object.get("primary_recipient", {}).get("customer_id") in ids:
                self.changed("invoices", row.id, {"primary_recipient.customer_id": id})
        return Ref("customers", id)

    # Loyalty

    def open_program(self) -> None:
        at = self.stamp()
        spend = self.cash(self.price(1, 1))
        found = shapes.loyalty_program(
            self.account.uuid(), at, tier=self.account.uuid(), spend=spend,
            locations=self.open_locations(), discount=self.happy_hour,
        )  # fmt: skip
        self.program = found["id"]
        self.spend = spend["amount"]
        self.added("loyalty_programs", found, at)

    def enroll(self, customer: str = "") -> Ref | None:
        """A customer with a number joins the program."""
        found = self.chosen(
            "customers",
            customer,
            lambda one: "phone_number" in one and self._loyalty_of(one["id"]) is None,
        )
        if found is None:
            return None
        at = self.stamp()
        account = shapes.loyalty_account(
            self.account.uuid(), at, program=self.program, customer=found["id"],
            mapping=self.account.uuid(), phone=found["phone_number"],
        )  # fmt: skip
        self._members[found["id"]] = account["id"]
        return self.added("loyalty_accounts", account, at)

    def _loyalty_of(self, customer: str) -> Json | None:
        id = self._members.get(customer)
        return self.account.find("loyalty_accounts", id) if id else None

    def earn(self, customer: str, order: Json) -> None:
        """Points for what was spent before tax; at enough of them a reward is taken."""
        account = self._loyalty_of(customer)
        if account is None:
            return
        spent = sum(
            line["gross_sales_money"]["amount"] - line["total_discount_money"]["amount"]
            for line in order.get("line_items", ())
        )
        points = spent // self.spend
        if points < 1:
            return
        details = {"loyalty_program_id": self.program, "points": points, "order_id": order["id"]}
        self._points(account, "ACCUMULATE_POINTS", points, details, order["location_id"])
        if account["balance"] >= REWARD_POINTS and self.chance(0.3):
            reward = {"loyalty_program_id": self.program, "reward_id": self.account.uuid()}
            created = {**reward, "points": -REWARD_POINTS}
            self._points(account, "CREATE_REWARD", -REWARD_POINTS, created, None)
            redeemed = {**reward, "order_id": order["id"]}
            self._points(account, "REDEEM_REWARD", 0, redeemed, order["location_id"])

    def adjust_points(self, id: str = "", points: int = 0) -> Ref | None:
        """Someone puts points right by hand, never below nothing."""
        account = self.chosen("loyalty_accounts", id)
        if account is None:
            return None
        points = points or self.random.randrange(1, 20)
        details = {"loyalty_program_id": self.program, "points": points, "reason": "“sorry”"}
        self._points(account, "ADJUST_POINTS", points, details, None)
        return Ref("loyalty_accounts", account["id"])

    def _points(
        self, account: Json, type: str, points: int, details: Json, location: str | None
    ) -> None:
        at = self.stamp()
        event = shapes.loyalty_event(
            self.account.uuid(), at, type=type, account=account["id"], location=location,
            details=details,
        )  # fmt: skip
        self.added("loyalty_events", event, at)
        if points:
            account["balance"] += points
            account["lifetime_points"] += max(points, 0)
            changes = {name: account[name] for name in ("balance", "lifetime_points")}
            self.account.change("loyalty_accounts", account["id"], changes, at=at)

    # Gift cards

    def issue_gift_card(self, amount: int, customer: str | None) -> Ref:
        at = self.stamp()
        card = shapes.gift_card(
            f"gftc:{self.random.randbytes(16).hex()}", at,
            gan=f"77833200{self.random.randrange(10**8):08d}", balance=self.cash(amount),
            digital=self.chance(0.5),
        )  # fmt: skip
        if customer and self.chance(0.5):
            card["customer_ids"] = [customer]
        return self.added("gift_cards", card, at)

    def redeem(self, card: Json, amount: int) -> None:
        """Take an amount off a card: no time in it tells when."""
        left = money(card["balance_money"]["amount"] - amount, self.account.currency)
        self.changed("gift_cards", card["id"], {"balance_money": left})

    def block_gift_card(self, id: str = "") -> Ref | None:
        """A card is deactivated, its balance cleared; nothing in it tells when."""
        card = self.chosen("gift_cards", id, lambda one: one["state"] == "ACTIVE")
        changes = {"state": "DEACTIVATED", "balance_money": self.cash(0)}
        return self.changed("gift_cards", card["id"], changes) if card else None

    def edit_program(self) -> Ref:
        """Rename the points."""
        name = f"Note{self.at % 100}"
        changes = {"terminology": {"one": name, "other": f"{name}s"}}
        return self.changed("loyalty_programs", self.program, changes)
