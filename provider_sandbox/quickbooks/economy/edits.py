"""Edits, voids and removals by the venue's staff."""

from decimal import Decimal

from provider_sandbox.ledger import Json
from provider_sandbox.quickbooks.account import DAY
from provider_sandbox.quickbooks.books import STREAM_OF_TYPE
from provider_sandbox.quickbooks.economy.spending import Spending, paid_by
from provider_sandbox.quickbooks.endpoints import BY_STREAM

ZERO = Decimal(0)
VOIDED = ("invoices", "sales_receipts", "payments", "bill_payments")
"""What the API can void."""
DELETED = (
    *(stream for stream, entity in BY_STREAM.items() if entity.ids == "transactions"),
    "time_activities", "budgets",
)  # fmt: skip
"""What the API can delete; lists are made inactive instead."""
IN_USE = {
    "items": ("item Tips", "item Sound Engineer, hour", "item General Admission"),
    "vendors": ("vendor rent", "vendor utilities"),
    "terms": ("net 15", "net 30"),
}
"""Roles of what is never made inactive at random."""
NAMED_BY = {"customers": ("CustomerRef",), "vendors": ("VendorRef", "EntityRef")}
"""What can be merged, and the fields of transactions that name it."""
LISTS = tuple(stream for stream, entity in BY_STREAM.items() if entity.has_active)


class Edits(Spending):
    """Changes of what exists."""

    def edit(self) -> Json | None:
        """Change a field of some object."""
        return self.one_of(
            self._rename, self._rename, self._reprice, self._note, self._note, self._requantify,
            self._reclassify, self._edit_shift,
        )  # fmt: skip

    def edit_together(self) -> Json | None:
        """Import a memo into several invoices and customers within one second."""
        done = None
        for stream, field in (("invoices", "PrivateNote"), ("customers", "Notes")):
            for found in {one["Id"]: one for one in self.account.any_of(stream)}.values():
                done = self.change(stream, found["Id"], {field: f"Imported “{self.at}”"})
        return done

    def backdate(self) -> Json | None:
        """Move a transaction into an earlier month: its date changes, and with it old reports."""
        stream = self.random.choice(("sales_receipts", "purchases", "bills", "journal_entries"))
        found = self.first(stream)
        date = self.account.date(self.at - self.random.randrange(31, 90) * DAY)
        return found and self.change(stream, found["Id"], {"TxnDate": date})

    def inactivate(self, stream: str | None = None, id: str | None = None) -> Json | None:
        """Make an object of a list inactive."""
        stream = stream or self.random.choice(("customers", "vendors", "items", "classes", "terms"))
        if stream not in LISTS:
            raise ValueError(f"{stream} are never inactive: give one of {', '.join(LISTS)}")
        held = {self.role[role]["Id"] for role in IN_USE.get(stream, ())}
        if id is None and len(self.account.ids(stream, active=True)) < 3:
            return None
        found = {"Id": id} if id else self.first(stream, lambda one: one["Id"] not in held)
        return found and self.set_active(stream, found["Id"], False)

    def reactivate(self, stream: str | None = None, id: str | None = None) -> Json | None:
        """Make an inactive object of a list active again."""
        stream = stream or self.random.choice(("customers", "vendors", "items"))
        inactive = [id] if id else self.account.ids(stream, active=False)
        return self.set_active(stream, self.random.choice(inactive), True) if inactive else None

    def void(self, stream: str | None = None, id: str | None = None) -> Json | None:
        """Set the amounts of a transaction to zero; it stays, with the note "Voided"."""
        stream = stream or self.random.choice(VOIDED)
        if stream not in VOIDED:
            raise ValueError(f"{stream} cannot be voided: give one of {', '.join(VOIDED)}")
        found = self._free(stream, id)
        if found is None:
            return None
        self._unlink(stream, found)
        found = self.existing(stream, found["Id"])
        changes: Json = {
            "TotalAmt": ZERO, "PrivateNote": "Voided", "LinkedTxn": [],
            "Line": [] if stream in ("payments", "bill_payments") else [
                _zeroed(line) for line in found["Line"]
            ],
        }  # fmt: skip
        for name in ("Balance", "HomeBalance", "HomeTotalAmt", "UnappliedAmt"):
            if name in found:
                changes[name] = ZERO
        if "TxnTaxDetail" in found:
            changes["TxnTaxDetail"] = {"TotalTax": ZERO}
        return self.change(stream, found["Id"], changes)

    def remove(self, stream: str | None = None, id: str | None = None) -> Json | None:
        """Delete a transaction: it vanishes from queries, and what it settled is open again."""
        stream = stream or self.random.choice(DELETED)
        if stream not in DELETED:
            raise ValueError(f"{stream} are never deleted: give one of {', '.join(DELETED)}")
        found = self._free(stream, id)
        if found is not None:
            self._unlink(stream, found)
            self.account.delete(stream, found["Id"], at=self.at)
        return found

    def merge(
        self, stream: str | None = None, id: str | None = None, lost: str | None = None
    ) -> Json | None:
        """Two customers or vendors of one currency turn out to be the same: the second is gone, and
        all its transactions are the first's."""
        stream = stream or self.random.choice(("customers", "vendors"))
        if stream not in NAMED_BY:
            raise ValueError(f"{stream} are never merged: give one of {', '.join(NAMED_BY)}")
        held = {self.role[role]["Id"] for role in IN_USE.get(stream, ())}
        first = self.existing(stream, id) if id else self.first(stream)
        if first is None:
            return None
        second = (
            self.existing(stream, lost)
            if lost
            else self.first(
                stream,
                lambda one: (
                    one["Id"] not in (first["Id"], *held)
                    and one["CurrencyRef"] == first["CurrencyRef"]
                ),
            )
        )
        if second is None:
            return None
        for of in DELETED:
            for found in self.account.objects(of):
                changes = {
                    name: found[name] | {"value": first["Id"], "name": first["DisplayName"]}
                    for name in NAMED_BY[stream]
                    if found.get(name, {}).get("value") == second["Id"]
                }
                if changes:
                    self.change(of, found["Id"], changes)
        self.account.merge(stream, first["Id"], second["Id"], at=self.at)
        return self.existing(stream, first["Id"])

    def _free(self, stream: str, id: str | None) -> Json | None:
        """The object, or a random one, that no other stands upon."""
        if id is not None:
            found = self.existing(stream, id)
            if not self._is_free(stream, found):
                raise ValueError(f"{id} of {stream} is linked: remove what it is linked to first")
            return found
        if stream == "budgets" and len(self.account.tables[stream]) < 2:
            return None
        return self.first(
            stream, lambda one: one.get("TotalAmt") != 0 and self._is_free(stream, one)
        )

    def _is_free(self, stream: str, found: Json) -> bool:
        types = {link["TxnType"] for link in found.get("LinkedTxn", ())}
        if stream in ("bills", "vendor_credits", "credit_memos", "estimates"):
            return not types
        if stream in ("sales_receipts", "payments"):
            type = "SalesReceipt" if stream == "sales_receipts" else "Payment"
            at_hand = found["DepositToAccountRef"]["value"] == self.role["undeposited"]["Id"]
            return not at_hand or (type, found["Id"]) in self.safe
        return True

    def _unlink(self, stream: str, found: Json) -> None:
        """Take a transaction out of those that it is linked with."""
        if stream == "deposits":
            for line in found["Line"]:
                for link in line.get("LinkedTxn", ()):
                    self.safe[link["TxnType"], link["TxnId"]] = None
        elif stream == "payments":
            self.settle(found, "Payment", undo=True)
        elif stream == "bill_payments":
            self.settle(found, paid_by(found), undo=True)
        elif stream == "invoices":
            for link in found.get("LinkedTxn", ()):
                other = STREAM_OF_TYPE[link["TxnType"]]
                linked = self.existing(other, link["TxnId"])
                if other == "estimates":
                    changes: Json = {"TxnStatus": "Accepted", "LinkedTxn": []}
                else:
                    changes = _without(linked, found["Id"])
                self.change(other, link["TxnId"], changes)

    def _rename(self) -> Json | None:
        stream = self.random.choice(("customers", "vendors"))
        found = self.first(stream)
        name = f"{found['DisplayName'][:60]} ({self.at})" if found else ""
        changes: Json = {"DisplayName": name, "PrintOnCheckName": name}
        if stream == "customers":
            changes["FullyQualifiedName"] = name
        return found and self.change(stream, found["Id"], changes)

    def _reprice(self) -> Json | None:
        found = self.first("items", lambda one: one["UnitPrice"])
        dollars = Decimal(self.random.randrange(200, 5000)) / 100
        return found and self.change("items", found["Id"], {"UnitPrice": self.price(dollars)})

    def _note(self) -> Json | None:
        stream = self.random.choice(("invoices", "bills", "deposits", "sales_receipts"))
        found = self.first(stream)
        note = f'Seen by "Ökonom" at {self.at}'
        return found and self.change(stream, found["Id"], {"PrivateNote": note})

    def _requantify(self) -> Json | None:
        """The first line of an untaxed bill that nobody paid doubles."""
        found = self.first(
            "bills", lambda one: one["Balance"] and one["Balance"] == one["TotalAmt"]
        )
        if found is None:
            return None
        line, *rest = found["Line"]
        added = line["Amount"]
        total = found["TotalAmt"] + added
        changes: Json = {
            "Line": [line | {"Amount": line["Amount"] + added}, *rest], "TotalAmt": total,
            "Balance": total,
        }  # fmt: skip
        if "HomeBalance" in found:
            home = self.account.amount(total * Decimal(found["ExchangeRate"]))
            changes["HomeBalance"] = home
        return self.change("bills", found["Id"], changes)

    def _reclassify(self) -> Json | None:
        """A purchase turns out to have been for something else."""
        found = self.first("purchases")
        if found is None:
            return None
        line = found["Line"][0]
        account = self.role[self.random.choice(("supplies", "repairs", "advertising"))]
        detail = line["AccountBasedExpenseLineDetail"] | {
            "AccountRef": {"value": account["Id"], "name": account["Name"]},
        }  # fmt: skip
        changed = line | {"AccountBasedExpenseLineDetail": detail}
        return self.change("purchases", found["Id"], {"Line": [changed]})

    def _edit_shift(self) -> Json | None:
        found = self.first("time_activities")
        return found and self.change(
            "time_activities", found["Id"], {"Hours": found["Hours"] % 8 + 1}
        )


def _zeroed(line: Json) -> Json:
    zeroed = line | {"Amount": ZERO}
    if "SalesItemLineDetail" in line:
        zeroed["SalesItemLineDetail"] = line["SalesItemLineDetail"] | {
            "UnitPrice": ZERO, "Qty": ZERO,
        }  # fmt: skip
    if "GroupLineDetail" in line:
        bundle = line["GroupLineDetail"]
        zeroed["GroupLineDetail"] = bundle | {
            "Quantity": ZERO, "Line": [_zeroed(one) for one in bundle["Line"]],
        }  # fmt: skip
    return zeroed


def _without(payment: Json, invoice_id: str) -> Json:
    """A payment that no longer settles an invoice: the amount is unapplied."""
    kept = [line for line in payment["Line"] if line["LinkedTxn"][0]["TxnId"] != invoice_id]
    freed = sum((line["Amount"] for line in payment["Line"] if line not in kept), ZERO)
    return {"Line": kept, "UnappliedAmt": payment["UnappliedAmt"] + freed}
