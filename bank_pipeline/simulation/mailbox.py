"""The way of a webhook from a provider to us: some are lost, doubled, late or out of order."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from bank_pipeline.domain.connection import Provider
from bank_pipeline.errors import BankPipelineError
from bank_pipeline.sandbox.chance import dice
from bank_pipeline.sandbox.delivery import Delivery, Outbox
from bank_pipeline.simulation.agenda import Agenda
from bank_pipeline.simulation.installation import Installation
from bank_pipeline.simulation.plan import Plan, Trouble
from bank_pipeline.sync.inbox import Inbox

PROMPT: Final = timedelta(seconds=2)
TRIES: Final = tuple(timedelta(seconds=30 * 4**step) for step in range(6))
"""When a provider tries again after it was not heard; it gives up within a day."""

_LATE_HOURS: Final = (1, 47)
_REORDERED_MINUTES: Final = (1, 90)


@dataclass
class Letter:
    """One webhook under way."""

    provider: Provider
    outbox: Outbox
    delivery: Delivery
    tries: int = 0


class Mailbox:
    """
    Carry webhooks over, by the plan's chances; `is_open` says whether anybody is at home.

    What happens to a webhook depends on the seed and its number alone.
    """

    def __init__(
        self,
        place: Installation,
        agenda: Agenda,
        *,
        seed: int,
        plan: Plan,
        is_open: Callable[[], bool],
        on_news: Callable[[], None],
    ) -> None:
        self._place = place
        self._agenda = agenda
        self._seed = seed
        self.plan = plan
        self._is_open = is_open
        self._on_news = on_news
        self.injected: Counter[Trouble] = Counter()
        self.delivered = 0
        self.refused: Counter[str] = Counter()

    def divert(self) -> None:
        """Take what the simulated providers send from now on."""
        for provider, outbox in (
            (Provider.PLAID, self._place.sandbox.plaid.webhooks),
            (Provider.TELLER, self._place.teller.webhooks),
        ):
            outbox.divert(self._take(provider, outbox))

    def _take(self, provider: Provider, outbox: Outbox) -> Callable[[Delivery], None]:
        def take(delivery: Delivery) -> None:
            letter = Letter(provider, outbox, delivery)
            for wait in self._waits(letter):
                at = self._place.world.clock.now() + wait
                self._agenda.add(at, lambda: self._deliver(letter))

        return take

    def _waits(self, letter: Letter) -> list[timedelta]:
        """Return after how long each copy arrives; none when it is lost."""
        rolled = dice(self._seed, "webhook", letter.provider, letter.delivery.number)
        chance = rolled.random()
        fates = (
            Trouble.WEBHOOK_LOST,
            Trouble.WEBHOOK_DOUBLED,
            Trouble.WEBHOOK_LATE,
            Trouble.WEBHOOK_REORDERED,
        )
        for fate in fates:
            if chance >= self.plan.rate(fate):
                chance -= self.plan.rate(fate)
                continue
            self.injected[fate] += 1
            match fate:
                case Trouble.WEBHOOK_LOST:
                    return []
                case Trouble.WEBHOOK_DOUBLED:
                    return [PROMPT, PROMPT + timedelta(minutes=rolled.randrange(1, 600))]
                case Trouble.WEBHOOK_LATE:
                    return [timedelta(hours=rolled.randint(*_LATE_HOURS))]
                case _:
                    return [timedelta(minutes=rolled.randint(*_REORDERED_MINUTES))]
        return [PROMPT]

    def _deliver(self, letter: Letter) -> None:
        if not self._is_open():
            self._again(letter)
            return
        headers = {
            name.lower(): value for name, value in letter.outbox.headers_of(letter.delivery).items()
        }
        body = letter.delivery.body.encode()
        try:
            Inbox(self._place.context).accept(letter.provider, headers, body)
        except BankPipelineError as error:
            self.refused[type(error).__name__] += 1
            self._again(letter)
            return
        self.delivered += 1
        self._on_news()

    def _again(self, letter: Letter) -> None:
        if letter.tries < len(TRIES):
            at = self._place.world.clock.now() + TRIES[letter.tries]
            letter.tries += 1
            self._agenda.add(at, lambda: self._deliver(letter))
