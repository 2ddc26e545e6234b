"""What the venue has: locations, staff, what it sells, and how much of it is there."""

from provider_sandbox.ledger import Json
from provider_sandbox.square import shapes
from provider_sandbox.square.account import Ref
from provider_sandbox.square.economy.ground import Ground

PLACES = (
    "Main Hall", "Foyer Bar", "Zoë's Terrasse", "Club “Süd”", "Studio 2", "Box Office", "Merch",
    "Café Łódź", "Garden", "Late Bar", "Cloakroom", "Festival Tent", "東棟", "Truck", "Pop-up",
)  # fmt: skip
STAFF = (
    ("Aoife", "O'Brien"), ("Jürgen", "Müller"), ("Zoë", "Løw"), ("Marie-Ève", "Gagnon"),
    ("健太", "佐藤"), ("Ana", "D'Souza \"Bo\""),
)  # fmt: skip
ITEMS: tuple[tuple[str, str, bool, tuple[tuple[str, float], ...]], ...] = (
    ("Concert ticket", "Tickets", False, (("Stalls", 38), ("Balcony", 29), ("Student", 18))),
    ("Festival pass", "Tickets", False, (("One day", 75), ("Weekend", 160))),
    ("Draught beer", "Bar", False, (("Half", 4), ("Pint", 7))),
    ("House wine", "Bar", False, (("Glass", 8), ("Bottle", 31))),
    ('Espresso "Doppio"', "Bar", False, (("Single", 3.25), ("Double", 4.5))),
    ("Crêpe", "Kitchen", False, (("Sucre", 6), ("Jambon", 9.5))),
    ("T-shirt", "Merchandise", True, (("S", 25), ("M", 25), ("L", 25), ("XL", 27))),
    ("LP “Nachtmusik”", "Merchandise", True, (("Black", 28), ("Signed", 55))),
    ("Tote bag", "Merchandise", True, (("Regular", 15),)),
)
"""Name, category, whether it is kept in stock, and variations with their price in US dollars."""
EXTRAS = (("Oat milk", 0.75), ("Extra shot", 1.0), ("No ice", 0.0))


class Catalogue(Ground):
    """Locations, team members, catalog and stock."""

    tax: str
    plan: str
    happy_hour: str

    def stock_up(self, locations: int) -> None:
        """What there is before the first sale."""
        for number in range(locations):
            self._add_location(number)
        for number in range(min(len(STAFF), 2 + locations)):
            self.add_team_member(owner=number == 0)
        self.tax = self._add_tax()
        self.happy_hour = self._add_discount("Happy hour", "10")
        self._add_discount("Friends “& family”", "25")
        categories = {name: self._add_category(name) for _, name, _, _ in ITEMS}
        extras = self._add_modifier_list()
        for name, category, stocked, variations in ITEMS:
            with_extras = extras if category == "Bar" else ""
            self.add_item(name, categories[category], stocked, variations, with_extras)
        self.plan = self._add_plan()

    def _add_location(self, number: int) -> Ref:
        account, at = self.account, self.stamp()
        name = PLACES[number % len(PLACES)] + (f" {number}" if number >= len(PLACES) else "")
        location = shapes.location(
            account.upper_id(12, "L"), at, owner=account, name=name, active=True,
            mobile=number % 5 == 4,
        )  # fmt: skip
        location.pop("business_hours")
        if number == 0:
            account.main_location = location["id"]
        return self.added("locations", location, at)

    def close_location(self, id: str = "") -> Ref | None:
        """Deactivate a location, never the main one: its history stays."""
        found = self.chosen(
            "locations",
            id,
            lambda one: one["status"] == "ACTIVE" and one["id"] != self.account.main_location,
        )
        return self.changed("locations", found["id"], {"status": "INACTIVE"}) if found else None

    def edit_location(self, id: str = "") -> Ref | None:
        """Rename a location; nothing in it tells when."""
        found = self.chosen("locations", id)
        name = f"Hall {self.random.randrange(1000)} “Nord”"
        return self.changed("locations", found["id"], {"name": name}) if found else None

    def open_locations(self) -> list[str]:
        return [
            row.id for row in self.account.table("locations") if row.object["status"] == "ACTIVE"
        ]

    def add_team_member(self, *, owner: bool = False) -> Ref:
        at = self.stamp()
        given, family = STAFF[len(self.account.table("team_members")) % len(STAFF)]
        places = self.random.sample(self.open_locations(), 1) if self.chance(0.4) else []
        hourly = None if owner else self.cash(self.price(14, 28))
        member = shapes.team_member(
            self.account.id_for(14, "TM"), at, given=given, family=family, owner=owner,
            locations=[] if owner else places, hourly=hourly,
        )  # fmt: skip
        return self.added("team_members", member, at)

    def edit_team_member(self, id: str = "") -> Ref | None:
        """Someone changes the name, or leaves and comes back."""
        found = self.chosen("team_members", id, lambda one: not one["is_owner"])
        if found is None:
            return None
        status = "INACTIVE" if found["status"] == "ACTIVE" else "ACTIVE"
        changes = self.random.choice(({"status": status}, {"family_name": "Søren-O'Neill"}))
        return self.changed("team_members", found["id"], changes)

    # The catalog

    def _put(self, type: str, data: Json) -> str:
        at = self.stamp()
        found = shapes.catalog_object(self.account.upper_id(24), at, type, data)
        self.added("catalog", found, at, "updated")
        id: str = found["id"]
        return id

    def _add_tax(self) -> str:
        place = self.account.place
        return self._put(
            "TAX",
            {
                "name": "Sales tax", "calculation_phase": "TAX_SUBTOTAL_PHASE",
                "inclusion_type": "INCLUSIVE" if place.inclusive else "ADDITIVE",
                "percentage": place.tax, "applies_to_custom_amounts": True, "enabled": True,
            },
        )  # fmt: skip

    def _add_discount(self, name: str, percentage: str) -> str:
        return self._put(
            "DISCOUNT",
            {
                "name": name, "discount_type": "FIXED_PERCENTAGE", "percentage": percentage,
                "pin_required": False, "modify_tax_basis": "MODIFY_TAX_BASIS",
            },
        )  # fmt: skip

    def _add_category(self, name: str) -> str:
        found = self.one_of("catalog", lambda one: one.get("category_data", {}).get("name") == name)
        if found is not None:
            return str(found["id"])
        return self._put(
            "CATEGORY", {"name": name, "category_type": "REGULAR_CATEGORY", "is_top_level": True}
        )

    def _add_modifier_list(self) -> str:
        id, at = self.account.upper_id(24), self.stamp()
        modifiers = []
        for ordinal, (name, dollars) in enumerate(EXTRAS):
            price = self.price(dollars, dollars) if dollars else 0
            data = {
                "name": name, "price_money": self.cash(price), "ordinal": ordinal,
                "modifier_list_id": id,
            }  # fmt: skip
            modifiers.append(shapes.catalog_object(self.account.upper_id(24), at, "MODIFIER", data))
        for modifier in modifiers:
            self.account.save("catalog", modifier)
        data = {"name": "Extras", "selection_type": "MULTIPLE", "modifiers": modifiers}
        self.added("catalog", shapes.catalog_object(id, at, "MODIFIER_LIST", data), at, "updated")
        return id

    def _add_plan(self) -> str:
        id, at = self.account.upper_id(24), self.stamp()
        phase = {
            "uid": self.account.id_for(22), "cadence": "MONTHLY", "ordinal": 0,
            "pricing": {"type": "STATIC", "price_money": self.cash(self.price(12, 12))},
        }  # fmt: skip
        data: Json = {"name": "Monthly", "phases": [phase], "subscription_plan_id": id}
        variation = shapes.catalog_object(
            self.account.upper_id(24), at, "SUBSCRIPTION_PLAN_VARIATION", data
        )
        self.account.save("catalog", variation)
        data = {
            "name": "Friends of the Hall", "all_items": False,
            "subscription_plan_variations": [variation],
        }  # fmt: skip
        plan = shapes.catalog_object(id, at, "SUBSCRIPTION_PLAN", data)
        self.added("catalog", plan, at, "updated")
        return str(variation["id"])

    def add_item(
        self, name: str = "", category: str = "", stocked: bool = True,
        variations: tuple[tuple[str, float], ...] = (("Regular", 12.0),), extras: str = "",
    ) -> Ref:  # fmt: skip
        """An item with its variations, and stock of it at each location."""
        account = self.account
        id, at = account.upper_id(24), self.stamp()
        image = self._put("IMAGE", {"name": name, "url": f"https://images.example/{id}.jpeg"})
        parts = []
        for ordinal, (label, dollars) in enumerate(variations):
            data = {
                "item_id": id, "name": label, "sku": account.upper_id(8), "ordinal": ordinal,
                "pricing_type": "FIXED_PRICING",
                "price_money": self.cash(self.price(dollars, dollars)),
                "track_inventory": stocked, "sellable": True, "stockable": True,
            }  # fmt: skip
            parts.append(shapes.catalog_object(account.upper_id(24), at, "ITEM_VARIATION", data))
        for part in parts:
            account.save("catalog", part)
        data = {
            "name": name or f"Poster No. {self.random.randrange(1000)} “Ø”",
            "description": "As seen on the night",
            "is_taxable": True,
            "tax_ids": [self.tax],
            "categories": [{"id": category, "ordinal": 0}] if category else None,
            "modifier_list_info": (
                [{"modifier_list_id": extras, "enabled": True}] if extras else None
            ),
            "image_ids": [image],
            "variations": parts,
            "product_type": "REGULAR",
            "is_archived": False,
        }
        ref = self.added("catalog", shapes.catalog_object(id, at, "ITEM", data), at, "updated")
        if stocked:
            for part in parts:
                for location in self.open_locations():
                    self._count(part["id"], location, "IN_STOCK", self.random.randrange(20, 200))
        return ref

    def _a_variation(self, id: str = "") -> Json | None:
        return self.chosen("catalog", id, lambda one: one["type"] == "ITEM_VARIATION")

    def edit_price(self, id: str = "") -> Ref | None:
        """Change a variation's price. The item that holds it shows the new one, but only the
        variation's own version and update time move."""
        found = self._a_variation(id)
        if found is None:
            return None
        price = self.cash(self.price(5, 60))
        ref = self.changed("catalog", found["id"], {"item_variation_data.price_money": price})
        item = found["item_variation_data"]["item_id"]
        held = self.account.existing("catalog", item)["item_data"]["variations"]
        parts = [self.account.existing("catalog", part["id"]) for part in held]
        self.changed("catalog", item, {"item_data.variations": parts}, silent=True)
        return ref

    def edit_item(self, id: str = "") -> Ref | None:
        """Rename an item, or put it into the archive."""
        found = self.chosen("catalog", id, lambda one: one["type"] == "ITEM")
        changes = self.random.choice(
            ({"item_data.name": f"Crème “{self.at % 997}”"}, {"item_data.is_archived": True})
        )
        return self.changed("catalog", found["id"], changes) if found else None

    def delete_item(self, id: str = "") -> Ref | None:
        """Delete an item, and its variations with it."""
        found = self.chosen(
            "catalog", id, lambda one: one["type"] == "ITEM" and not one["is_deleted"]
        )
        if found is None or (not id and self._items() < 5):
            return None
        at = self.stamp()
        gone = []
        for part in found["item_data"]["variations"]:
            gone.append(self.account.delete("catalog", part["id"], at=at))
        changes = {"is_deleted": True, "item_data.variations": gone}
        self.account.table("catalog").deleted[found["id"]] = self.at
        self.account.change("catalog", found["id"], changes, at=at)
        return Ref("catalog", found["id"])

    def _items(self) -> int:
        deleted = self.account.table("catalog").deleted
        rows = self.account.table("catalog").sorted("created", "ITEM")
        return sum(1 for row in rows if row.id not in deleted)

    # The stock

    def _count(self, variation: str, location: str, state: str, quantity: int) -> Ref:
        at = self.stamp()
        count = shapes.inventory_count(variation, location, state, quantity, at)
        return self.added("inventory_counts", count, at, "updated")

    def _take(self, variation: str, location: str, quantity: int) -> None:
        """Take what was sold out of the stock, which may go below nothing; a negative quantity
        comes back."""
        found = self.account.find("inventory_counts", f"{variation}:{location}:IN_STOCK")
        if found is not None:
            self._count(variation, location, "IN_STOCK", int(found["quantity"]) - quantity)

    def recount(self, id: str = "") -> Ref | None:
        """Someone counts what is there, or throws some away."""
        found = self.chosen("inventory_counts", id, lambda one: one["state"] == "IN_STOCK")
        if found is None:
            return None
        variation, location = found["catalog_object_id"], found["location_id"]
        if self.chance(0.2):
            wasted = self.random.randrange(1, 5)
            key = f"{variation}:{location}:WASTE"
            before = self.account.find("inventory_counts", key) or {"quantity": "0"}
            self._take(variation, location, wasted)
            return self._count(variation, location, "WASTE", int(before["quantity"]) + wasted)
        return self._count(variation, location, "IN_STOCK", self.random.randrange(0, 200))

    def close_old_locations(self, count: int) -> None:
        """Deactivate some of the locations, the latest first."""
        rows = list(self.account.table("locations"))
        for row in rows[1:][-count:] if count else []:
            self.close_location(row.id)
