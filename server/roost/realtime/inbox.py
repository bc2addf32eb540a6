"""What is heard in a person's inbox beside its own events: all that the person may read.

Each such topic has a channel of its own, with its own cursor, whose events come under the name of
the inbox and say in their `meta` which topic they are of. So there is no row for a recipient, and
resuming is as exact as for a topic that is joined by itself.

Which topics these are the database says once, when the inbox is joined. From then on the log says
it: an event of the topic itself ends the right to it, and an event of the inbox grants one. The two
are in different topics, so either may be read first.
"""

import asyncio
from typing import TYPE_CHECKING, Final

from roost.errors import RoostError
from roost.realtime.fanout import Channel
from roost.realtime.join import Grant, Replay, ask_to_join
from roost.realtime.log import Event
from roost.realtime.refusals import must_refetch

if TYPE_CHECKING:
    from roost.realtime.outlet import Outlet

_NOT_ALLOWED: Final = "RO401"
_GONE: Final = frozenset({"RO402", "RO403"})


class Inbox:
    """Of one channel that has joined user:<id>.

    channels -- of the topics that are heard in it, by name
    resume -- the token from which on its client is to have everything
    """

    __slots__ = ("_channel", "_granted", "_outlet", "_tasks", "channels", "resume")

    def __init__(self, outlet: "Outlet", channel: Channel, resume: str | None) -> None:
        self.channels: dict[str, Channel] = {}
        self.resume = resume
        self._outlet = outlet
        self._channel = channel
        # Granted while the channel from before had not ended yet: where to begin when it does.
        self._granted: dict[str, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def is_whole(self) -> bool:
        """Whether none of its channels waits for an answer that says where it begins."""
        return not self._tasks

    def open(self, grants: list[Grant], asked: int) -> None:
        """Takes in what the database has answered; asked is of Fanout.question()."""
        for grant in grants:
            channel = self._subscribe(grant.topic, asked)
            if grant.is_gone:
                self._outlet.tell_gone(channel, grant)
            self._place(channel, grant)

    def admit(self, events: list[Event]) -> None:
        """Takes in what events of the inbox grant."""
        for event in events:
            if event.grants_topic is None:
                continue
            if event.grants_topic in self.channels:
                self._granted[event.grants_topic] = event.grants_after
            else:
                self._take_in(event.grants_topic, event.grants_after, event.grants_after)

    def end(self, channel: Channel, error: RoostError) -> None:
        """One of its channels can't go on."""
        name = channel.topic.name
        self.forget(channel)
        granted = self._granted.pop(name, None)
        if error.code in _GONE:
            # From where the topic is now; the answer says where that is.
            self._take_in(name, None, channel.cursor)
        elif error.code != _NOT_ALLOWED:
            self._outlet.fail(self._channel, error)
        elif granted is not None:
            after = max(granted, channel.cursor)
            self._take_in(name, after, after)

    def forget(self, channel: Channel) -> None:
        """One of its channels ends without a word."""
        if self.channels.get(channel.topic.name) is channel:
            del self.channels[channel.topic.name]
            self._outlet.drop(channel)

    def close(self) -> None:
        """All ends with the inbox."""
        for task in self._tasks:
            task.cancel()
        for channel in list(self.channels.values()):
            self.forget(channel)

    def _subscribe(self, name: str, asked: int | None = None) -> Channel:
        fanout = self._outlet.services.fanout
        channel = self.channels[name] = fanout.subscribe(
            self._outlet, name, None, self._channel.claims, carrier=self._channel, asked=asked
        )
        return channel

    def _place(self, channel: Channel, grant: Grant) -> None:
        channel.granted_at = grant.newest
        channel.visible_after = grant.visible_after
        if grant.replay_after is not None and not grant.is_gone:
            channel.replay_end = grant.newest
        self._outlet.place(channel, grant.begin, grant.newest)

    def _take_in(self, name: str, after: int | None, has: int) -> None:
        """Asks for a topic, to begin behind `after`; None where what follows is gone.

        has -- offset up to which the client has it, until that is answered
        """
        channel = self._subscribe(name)
        channel.cursor = has
        task = asyncio.create_task(self._ask(channel, after))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask(self, channel: Channel, after: int | None) -> None:
        services, name = self._outlet.services, channel.topic.name
        try:
            while True:
                try:
                    # Somebody may be added to a thousand topics at once.
                    async with services.catch_up_reads:
                        grant, *_ = await ask_to_join(
                            services.multiplexer, self._channel.claims, name, Replay(after=after)
                        )
                    break
                except RoostError as error:
                    if error.code not in _GONE or after is None:
                        raise
                    after = None
            if grant.epoch != services.fanout.epoch:
                await services.fanout.check_epoch(grant.epoch)
        except RoostError as error:
            is_heard = self.channels.get(name) is channel
            self.forget(channel)
            # The right may have ended again; otherwise the client is to come back and resume.
            if error.code != _NOT_ALLOWED:
                self._outlet.fail(self._channel, error)
            elif is_heard and name in self._granted:
                # It was granted once more behind what the database has looked at.
                granted = self._granted.pop(name)
                self._take_in(name, granted, granted)
            return
        if self.channels.get(name) is not channel:
            return
        if grant.epoch != services.fanout.epoch:
            self._outlet.fail(self._channel, must_refetch())
            return
        if after is None:
            self._outlet.tell_gone(channel, grant)
        self._place(channel, grant)
