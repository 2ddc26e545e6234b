"""What goes on in an account: people sign up and leave, campaigns are sent, opened and clicked.

Steps due later wait in a queue, so that a clock that moves on plays them. The parts build on each
other: ground, audience, mail.
"""

from typing import Any

from provider_sandbox.ledger import Json
from provider_sandbox.life import DAY, HOUR, MONTH
from provider_sandbox.mailchimp.account import Ref, iso
from provider_sandbox.mailchimp.economy.mail import Mail

__all__ = ["HOUR", "MONTH", "Economy"]

KINDS: dict[str, tuple[float, tuple[str, ...]]] = {
    "subscribe": (25, ("subscribe",)),
    "edit": (20, ("edit_member",)),
    "tag": (8, ("tag", "tag_many")),
    "unsubscribe": (6, ("unsubscribe", "opt_out")),
    "archive": (4, ("archive",)),
    "resubscribe": (3, ("resubscribe",)),
    "change_email": (4, ("change_email",)),
    "clean": (2, ("clean",)),
    "delete": (3, ("delete_forever",)),
    "react": (12, ("react",)),
    "campaign": (
        8,
        (
            "add_campaign", "edit_campaign", "send", "send", "schedule_campaign",
            "pause_campaign", "remove_campaign",
        ),
    ),
    "audience": (
        4,
        (
            "add_tag", "add_segment", "rename_segment", "remove_segment", "add_merge_field",
            "remove_merge_field", "add_interest", "remove_interest", "remove_interest_category",
        ),
    ),
    "automation": (1, ("add_automation", "start_automation", "pause_automation")),
}  # fmt: skip
"""Kinds of mutation: how often they are drawn, and the steps they may be."""
STEPS = frozenset(step for _, steps in KINDS.values() for step in steps) | {
    "add_list", "confirm", "finish", "remove_list"
}  # fmt: skip
"""What `do` plays: see the method of that name for its arguments."""
DELETED_BY = {
    "lists": "remove_list", "members": "delete_forever", "merge_fields": "remove_merge_field",
    "segments": "remove_segment", "tags": "remove_segment", "interests": "remove_interest",
    "interest_categories": "remove_interest_category", "campaigns": "remove_campaign",
}  # fmt: skip
UPDATE_TIMES = {"members": "last_changed", "segments": "updated_at"}


class Economy(Mail):
    """Plays one account's life."""

    KINDS = KINDS
    STEPS = STEPS

    def refresh(self) -> None:
        """See Life."""
        self.account.refresh()

    def do(self, step: str, *arguments: Any) -> dict[str, str] | None:
        """See Life; tells the stream and the id."""
        touched: Ref | None = super().do(step, *arguments)
        return None if touched is None else touched._asdict()

    def open(self, *, size: int, lists: int, since: int, until: int) -> None:
        """The history: about ``size`` members in so many audiences between two seconds, and what is
        sent to them."""
        self.at, self.horizon = since, until
        for _ in range(lists):
            self.add_list()
        days = max((until - since) // DAY, 1)
        # They were imported together, so that many share their second.
        for _ in range(size // 8):
            self.schedule(since + HOUR, "subscribe")
        for number in range(size - size // 8):
            early = number < size * 0.5
            self._at_some_time("subscribe", since, since + DAY if early else until)
        for step, share in (
            ("edit_member", 0.25), ("tag", 0.15), ("unsubscribe", 0.03), ("archive", 0.04),
            ("resubscribe", 0.01), ("change_email", 0.02), ("delete_forever", 0.01),
        ):  # fmt: skip
            for _ in range(max(round(size * share), 2)):
                self._at_some_time(step, since + 2 * DAY, until)
        for step in ("add_merge_field", "tag_many", "add_segment", "rename_segment"):
            self._at_some_time(step, since + 3 * DAY, until)
        for type in ("regular", "plaintext", "variate", "rss"):
            self.schedule(since + self._some_of(2 * DAY, days // 3 * DAY), "start", type)
        for _ in range(days // 8):
            self._at_some_time("start", since + 2 * DAY, until)
        for _ in range(3):
            self._at_some_time("add_campaign", since + DAY, until)
        self.schedule(until - 60, "plan")
        self.schedule(since + 3 * DAY, "begin_series")
        self.schedule(since + 4 * DAY, "add_automation")
        self.play(until)

    def _some_of(self, first: int, last: int) -> int:
        return self.random.randrange(first, max(last, first + 1) + 1)

    def _at_some_time(self, step: str, since: int, until: int) -> None:
        at = self.random.randrange(since, max(until, since + 1))
        self.schedule(at, step)

    def start(self, type: str = "") -> Ref | None:
        """Write a campaign and send it."""
        return self.send(self.add_campaign(type).id)

    def send_now(self) -> Ref | None:
        """Write a campaign that is sent at once, so that its report is there."""
        sent = self.start("regular")
        return sent and self.finish(sent.id)

    def plan(self) -> Ref | None:
        """Write a campaign that is to be sent later."""
        return self.schedule_campaign(self.add_campaign("regular").id)

    def begin_series(self) -> Ref | None:
        return self.start_automation(self.add_automation().id)

    def update(self, stream: str, id: str, changes: Json, *, silent: bool = False) -> Json:
        """Change fields of one object now; its update time moves, if it has one and the change is
        not to be silent. Raises LookupError."""
        with self.account.lock:
            at = self.now(1)
            ref = Ref(stream, id)
            moved = UPDATE_TIMES.get(stream)
            if moved and not silent:
                changes = changes | {moved: iso(at)}
            self._change(ref, changes, silent=silent or moved is None)
            self.account.stale_lists |= {row.id for row in self.account.table("lists")}
            return self._object(ref)

    def delete(self, stream: str, id: str) -> None:
        """Delete one object now, for good; what hangs on it goes with it. Raises LookupError, and
        ValueError for a stream that knows no deletion."""
        if stream not in DELETED_BY:
            raise ValueError(f"Mailchimp deletes no {stream}: give one of {', '.join(DELETED_BY)}")
        with self.account.lock:
            self.now(1)
            self._object(Ref(stream, id))
            getattr(self, DELETED_BY[stream])(id)
            self.account.refresh()
