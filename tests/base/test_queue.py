from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.queue import Queue, Urgency
from services.reflector.table import ServiceKey
from tests.support.virtual_time import run_virtually

A, B, C, D = (ServiceKey("shop", name) for name in "abcd")
Steps = Callable[[Queue], Coroutine[object, object, None]]


def virtually(steps: Steps) -> Callable[[], None]:
    """Turn a coroutine about a queue into a test in virtual time."""

    def test() -> None:
        run_virtually(steps(Queue()))

    test.__doc__, test.__name__ = steps.__doc__, steps.__name__
    return test


def now_s() -> float:
    return asyncio.get_running_loop().time()


async def taken(queue: Queue) -> list[ServiceKey]:
    """Take all that can be taken now."""
    keys: list[ServiceKey] = []
    try:
        while True:
            async with asyncio.timeout(0):
                keys.append(await queue.get())
    except TimeoutError:
        return keys


@virtually
async def test_what_stands_goes_before_what_is_new_and_both_before_the_backlog(
    queue: Queue,
) -> None:
    """Neither a replay of thousands nor a burst of new mirrors delays a change of one in use."""
    queue.add(A, Urgency.BACKLOG)
    queue.add(B, Urgency.BACKLOG)
    queue.add(D, Urgency.NEW)
    queue.add(C, Urgency.CHANGE)
    queue.add(B, Urgency.CHANGE)
    queue.add(C, Urgency.BACKLOG)
    queue.add(D, Urgency.BACKLOG)

    assert [await queue.get() for _ in range(4)] == [C, B, D, A]
    assert await taken(queue) == []


@virtually
async def test_nobody_waits_for_ever(queue: Queue) -> None:
    """While changes come without end, one key in eight is one of the least urgent."""
    queue.add(A, Urgency.BACKLOG)
    queue.add(B, Urgency.NEW)
    order = []
    for _ in range(16):
        queue.add(C, Urgency.CHANGE)
        order.append(await queue.get())
        queue.done(order[-1])

    assert [order.index(key) for key in (A, B)] == [7, 15]


@virtually
async def test_a_key_is_never_twice_in_hand(queue: Queue) -> None:
    """What happens to a mirror while it is worked on brings it back afterwards, and once."""
    queue.add(A, Urgency.CHANGE)
    assert await queue.get() == A
    queue.add(A, Urgency.CHANGE)
    queue.add(A, Urgency.BACKLOG)
    queue.add(B, Urgency.BACKLOG)

    assert await taken(queue) == [B]
    assert len(queue) == 3

    queue.done(A)
    assert await taken(queue) == [A]
    queue.done(A)
    queue.done(B)
    assert (await taken(queue), len(queue)) == ([], 0)


@virtually
async def test_a_worker_that_waits_gets_the_next_key(queue: Queue) -> None:
    """Nothing is polled."""
    asyncio.get_running_loop().call_later(5, lambda: queue.add(A, Urgency.CHANGE))

    assert await queue.get() == A
    assert now_s() == pytest.approx(5)


@virtually
async def test_failures_are_retried_with_growing_delay(queue: Queue) -> None:
    """From a tenth of a second up to half a minute, and never given up."""
    queue.add(A, Urgency.CHANGE)
    await queue.get()
    delays = []
    for _ in range(14):
        began_s = now_s()
        queue.failed(A)
        assert queue.retrying == 1
        assert await queue.get() == A
        delays.append(now_s() - began_s)

    assert 0.05 <= delays[0] <= 0.1
    assert all(0.05 * 2**n <= delay <= 0.1 * 2**n for n, delay in enumerate(delays[:8]))
    assert all(15 <= delay <= 30 for delay in delays[10:])


@virtually
async def test_success_ends_the_growth(queue: Queue) -> None:
    """The next failure begins with a short delay again."""
    queue.add(A, Urgency.CHANGE)
    for _ in range(8):
        await queue.get()
        queue.failed(A)
    await queue.get()
    queue.done(A)
    queue.add(A, Urgency.CHANGE)
    await queue.get()
    queue.failed(A)
    began_s = now_s()

    await queue.get()

    assert now_s() - began_s <= 0.1


@virtually
async def test_the_server_says_when_to_come_back(queue: Queue) -> None:
    """Its Retry-After is kept, where it is longer than our own delay."""
    queue.add(A, Urgency.CHANGE)
    await queue.get()
    queue.failed(A, after_s=7)

    await queue.get()

    assert now_s() == pytest.approx(7)


@virtually
async def test_a_change_supersedes_the_wait(queue: Queue) -> None:
    """Something is new, so the next attempt may succeed: it is made at once, and only once."""
    queue.add(A, Urgency.CHANGE)
    await queue.get()
    queue.failed(A, after_s=1000)

    queue.add(A, Urgency.CHANGE)

    assert queue.retrying == 0
    assert await queue.get() == A
    assert now_s() == 0
    queue.done(A)
    await asyncio.sleep(2000)
    assert await taken(queue) == []


@virtually
async def test_a_change_during_a_failing_attempt_is_tried_at_once(queue: Queue) -> None:
    """The attempt that failed was about an older state."""
    queue.add(A, Urgency.CHANGE)
    await queue.get()
    queue.add(A, Urgency.CHANGE)
    queue.failed(A, after_s=1000)

    assert await queue.get() == A
    assert now_s() == 0
    assert queue.retrying == 0


@virtually
async def test_closing_forgets_what_waits_for_another_attempt(queue: Queue) -> None:
    """No timer outlives the program."""
    for key in (A, B):
        queue.add(key, Urgency.CHANGE)
        await queue.get()
        queue.failed(key)

    queue.close()

    assert queue.retrying == 0
    await asyncio.sleep(100)
    assert await taken(queue) == []


@virtually
async def test_a_worker_that_is_cancelled_takes_nothing_along(queue: Queue) -> None:
    """The key goes to the next worker."""
    waiting = asyncio.ensure_future(queue.get())
    await asyncio.sleep(0)
    queue.add(A, Urgency.CHANGE)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

    assert await taken(queue) == [A]


Step = Urgency | str
STEPS = st.lists(
    st.tuples(
        st.sampled_from([*Urgency, "get", "done", "failed", "wait"]),
        st.sampled_from([A, B, C]),
    ),
    max_size=40,
)


@given(STEPS)
def test_no_key_is_lost_and_none_is_in_hand_twice(steps: list[tuple[Step, ServiceKey]]) -> None:
    """Whatever happens in whatever order, what was added is handed out after its last addition."""
    run_virtually(_play(steps))


class Play:
    """A queue with its workers, and what it owes them.

    Attributes:
        in_hand: What workers have.
        owed: What was added, or failed, since it was handed out.
    """

    def __init__(self) -> None:
        self.queue = Queue()
        self.in_hand: set[ServiceKey] = set()
        self.owed: set[ServiceKey] = set()

    async def step(self, step: Step, key: ServiceKey) -> None:
        """Let one thing happen."""
        match step:
            case Urgency():
                self.queue.add(key, step)
                self.owed.add(key)
            case "get":
                self.take(await taken(self.queue))
            case "wait":
                await asyncio.sleep(60)
            case _ if key in self.in_hand:
                self.give_back(key, failed=step == "failed")

    def take(self, keys: list[ServiceKey]) -> None:
        """Take keys in hand."""
        assert not self.in_hand & set(keys)
        assert len(keys) == len(set(keys))
        self.in_hand |= set(keys)
        self.owed -= set(keys)

    def give_back(self, key: ServiceKey, *, failed: bool = False) -> None:
        """Be done with a key, or not."""
        self.in_hand.discard(key)
        if failed:
            self.queue.failed(key)
            self.owed.add(key)
        else:
            self.queue.done(key)

    async def end(self) -> None:
        """Be done with everything."""
        for _ in range(2):
            for key in tuple(self.in_hand):
                self.give_back(key)
            await asyncio.sleep(60)
            self.take(await taken(self.queue))


async def _play(steps: list[tuple[Step, ServiceKey]]) -> None:
    play = Play()
    for step, key in steps:
        await play.step(step, key)
    await play.end()
    assert (play.in_hand, play.owed) == (set(), set())
    assert (len(play.queue), play.queue.retrying) == (0, 0)
