"""Usage: each client key's sums by model and day, and the state of budgets. Pure.

Only counters are kept. A call's usage is taken from its CallRecord at its end, however it ended: a
cut stream counts with its known tokens. Days are UTC days.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Final, Protocol

from jarvis_proxy.call_record import CallRecord
from jarvis_proxy.config.budgets import Budget, day_number, day_of, period_end, period_of
from jarvis_proxy.errors import LimitExceeded
from jarvis_proxy.routing.endpoints import RELAYED
from jarvis_proxy.wire.text import printable

OTHER: Final = "other"
"""The model name for calls beyond the limit on models per key and day."""

_MAX_MODELS: Final = 100
_BATCH: Final = 256
KEPT_DAYS: Final = 62
"""On every day of the year, this covers the current month and the one before."""


@dataclass(slots=True)
class UsageTotals:
    """Sums over calls.

    *cached* and *written* tokens, read from and written to a cache, are part of *prompt*;
    *reasoning* tokens are part of *completion*. *cost* is in billionths of a dollar. It excludes
    *unpriced* calls, whose tokens are known but whose price is not. *unmeasured* calls have no
    known number of tokens.
    """

    calls: int = 0
    prompt: int = 0
    completion: int = 0
    cached: int = 0
    reasoning: int = 0
    cost: int = 0
    unpriced: int = 0
    unmeasured: int = 0
    written: int = 0

    def add(self, other: "UsageTotals") -> None:
        """Add the sums of *other*."""
        self.calls += other.calls
        self.prompt += other.prompt
        self.completion += other.completion
        self.cached += other.cached
        self.reasoning += other.reasoning
        self.cost += other.cost
        self.unpriced += other.unpriced
        self.unmeasured += other.unmeasured
        self.written += other.written

    def add_call(self, record: CallRecord) -> None:
        """Add the usage of one call."""
        self.calls += 1
        if record.prompt_tokens is None:
            self.unmeasured += 1
        else:
            self.prompt += record.prompt_tokens
            self.unpriced += record.cost is None
        self.completion += record.completion_tokens or 0
        self.cached += record.cached_tokens or 0
        self.reasoning += record.reasoning_tokens or 0
        self.written += record.cache_write_tokens or 0
        self.cost += record.cost or 0

    @property
    def tokens(self) -> int:
        """The number of tokens that a budget limits."""
        return self.prompt + self.completion

    @property
    def known_cost(self) -> int | None:
        """The cost; None if it is unknown, which differs from zero."""
        is_known = self.calls > self.unpriced + self.unmeasured and not self.unpriced
        return self.cost if self.cost or is_known else None


TOTAL_NAMES: Final = tuple(spec.name for spec in fields(UsageTotals))


@dataclass(frozen=True, slots=True)
class UsageRow:
    """The usage of one key with one model on one day. *model* is ``upstream/model``."""

    day: str
    key: str
    model: str
    totals: UsageTotals


class UsageStore(Protocol):
    """Persistent usage that several processes can share.

    No method raises: if a store fails, sums are lost but no call. The store logs the failure.
    """

    async def load(self, since: str) -> Sequence[UsageRow] | None:
        """Return all processes' sums from the day *since* on; None if they cannot be read."""

    async def add(self, rows: Sequence[UsageRow]) -> bool:
        """Add *rows* to the sums, all or none; return whether that succeeded."""


class NullUsageStore:
    """A store that keeps nothing: usage stays in memory only."""

    async def load(self, since: str) -> Sequence[UsageRow] | None:
        """Return None, which keeps the sums in memory."""
        return None

    async def add(self, rows: Sequence[UsageRow]) -> bool:
        """Drop *rows*."""
        return True


@dataclass(frozen=True, slots=True)
class BudgetState:
    """A budget and the amount spent, in the budget's unit; it resets at *resets_at*."""

    budget: Budget
    spent: int
    resets_at: str
    seconds_left: float

    @property
    def remaining(self) -> int:
        """The remaining amount, at least zero."""
        return max(0, self.budget.amount - self.spent)


class UsageLedger:
    """The sums of this process, and the part that is not stored yet."""

    def __init__(self, budgets: Mapping[str, Sequence[Budget]] | None = None) -> None:
        self.budgets: Mapping[str, Sequence[Budget]] = budgets or {}
        """Budgets by the names of client keys."""
        self._unsummed: list[CallRecord] = []
        self._rows: dict[tuple[str, str], dict[str, UsageTotals]] = {}
        self._spent: dict[tuple[str, str], UsageTotals] = {}
        self._pending: dict[tuple[str, str, str], UsageTotals] = {}
        self._day_number = -1
        self._day = ""

    def add(self, record: CallRecord) -> None:
        """Count a finished call, unless it used nothing of an upstream."""
        if is_billable(record):
            # Records are summed up in batches, or on a read, because most calls share a few sums.
            self._unsummed.append(record)
            if len(self._unsummed) >= _BATCH:
                self._sum_up()

    def _sum_up(self) -> None:
        pending, self._unsummed = self._unsummed, []
        places: dict[tuple[str, str, str, str], UsageTotals] = {}
        for record in pending:
            day = self._today(record.timestamp + record.ended_at - record.started_at)
            place = (day, record.key_name, record.upstream, record.upstream_model)
            if (totals := places.get(place)) is None:
                totals = places[place] = UsageTotals()
            totals.add_call(record)
        for (day, key, upstream, target), totals in places.items():
            model = self._add_totals(day, key, _model(upstream, target), totals)
            self._pending.setdefault((day, key, model), UsageTotals()).add(totals)
        if pending:
            last = pending[-1]
            self._forget(oldest_day(last.timestamp + last.ended_at - last.started_at))

    def restore(self, rows: Iterable[UsageRow]) -> None:
        """Replace the sums by the stored ones, plus what is not stored yet."""
        self._sum_up()
        self._rows.clear()
        self._spent.clear()
        pending = (UsageRow(*names, totals) for names, totals in self._pending.items())
        for row in (*rows, *pending):
            self._add_totals(row.day, row.key, row.model, row.totals)

    def drain_pending(self) -> list[UsageRow]:
        """Return the rows to store, and mark them as stored."""
        self._sum_up()
        rows = [UsageRow(*names, totals) for names, totals in self._pending.items()]
        self._pending.clear()
        return rows

    def restore_pending(self, rows: Iterable[UsageRow]) -> None:
        """Mark *rows* as not stored again, because storing them failed."""
        for row in rows:
            self._pending.setdefault((row.day, row.key, row.model), UsageTotals()).add(row.totals)

    def check(self, key: str, now: float) -> None:
        """Check that each budget of *key* has something left.

        *now* is in epoch seconds. Calls in progress reserve nothing, so they may exceed a budget.

        Raises:
            LimitExceeded: 429 `insufficient_quota`.
        """
        if key in self.budgets:
            for state in self.states(key, now):
                if not state.remaining:
                    raise budget_exceeded(state)

    def states(self, key: str, now: float) -> Iterator[BudgetState]:
        """Yield the state of each budget of *key*."""
        self._sum_up()
        today = self._today(now)
        for budget in self.budgets.get(key, ()):
            totals = self._spent.get((key, period_of(budget.period, today)), UsageTotals())
            end = period_end(budget.period, today)
            yield BudgetState(
                budget,
                totals.tokens if budget.unit == "tokens" else totals.cost,
                end.strftime("%Y-%m-%dT%H:%M:%SZ"),
                end.timestamp() - now,
            )

    def days(
        self, key: str, first: str, last: str
    ) -> Iterator[tuple[str, Mapping[str, UsageTotals]]]:
        """Yield each day from *first* to *last* on which *key* was used, with its sums by model."""
        self._sum_up()
        found = [(day, models) for (day, of), models in self._rows.items() if of == key]
        yield from sorted((pair for pair in found if first <= pair[0] <= last), key=lambda p: p[0])

    def sums(self) -> Iterator[tuple[str, str, UsageTotals]]:
        """Yield each key with each day and month in which it was used, and the sums."""
        self._sum_up()
        for (key, period), totals in self._spent.items():
            yield key, period, totals

    def _add_totals(self, day: str, key: str, model: str, totals: UsageTotals) -> str:
        """Add to the sums; return the name under which the model is counted."""
        models = self._rows.setdefault((day, key), {})
        if model not in models and len(models) >= _MAX_MODELS:
            # Names come from clients, so they must not fill the memory.
            model = OTHER
        for period in (day, day[:7]):
            self._spent.setdefault((key, period), UsageTotals()).add(totals)
        models.setdefault(model, UsageTotals()).add(totals)
        return model

    def _today(self, moment: float) -> str:
        """Return the day of *moment*, which is nearly always the last one asked for."""
        number = day_number(moment)
        if number != self._day_number:
            self._day_number, self._day = number, day_of(moment)
        return self._day

    def _forget(self, oldest: str) -> None:
        for names in [names for names in self._rows if names[0] < oldest]:
            del self._rows[names]
        # This also drops the month that contains *oldest*: no budget needs it any more.
        for owner in [owner for owner in self._spent if owner[1] < oldest]:
            del self._spent[owner]


def is_billable(record: CallRecord) -> bool:
    """Return whether an upstream did work for the call, as far as that can be known.

    An error without an answer costs nothing. A client that left before the first byte may have
    caused unknown costs, so that call counts, without tokens.
    """
    if not record.attempts or record.route == RELAYED or record.is_counted:
        return False
    answered = record.prompt_tokens is not None or record.first_byte_sent_at is not None
    return answered or record.outcome in ("ok", "client_closed")


def oldest_day(now: float) -> str:
    """Return the first day that is kept in memory."""
    return day_of(now - timedelta(days=KEPT_DAYS).total_seconds())


def budget_exceeded(state: BudgetState) -> LimitExceeded:
    """Return 429 `insufficient_quota` for an exhausted budget."""
    return LimitExceeded(
        429,
        f"The budget of this key, {state.budget.describe()}, is used up. "
        f"It resets at {state.resets_at}.",
        limit="budget",
        error_type="insufficient_quota",
        code="insufficient_quota",
        retry_after=state.seconds_left,
        should_retry=False,
    )


def _model(upstream: str, target: str) -> str:
    """Return ``upstream/model``; a call without a model uses the upstream's default."""
    return f"{upstream}/{printable(target) or 'default'}"
