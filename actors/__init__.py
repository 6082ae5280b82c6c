"""A small actor kernel on Trio: state that one task owns, reached by messages.

It knows trio and nothing else of ours, and is useful without the rest.
"""

from .actor import Actor
from .async_actor import AsyncActor
from .errors import ActorCycle, ActorGone, MailboxFull
from .mailbox import Mailbox
from .reply import Ask, Reply
from .supervisor import Restart, RestartLimit, Supervisor

__all__ = [
    "Actor",
    "ActorCycle",
    "ActorGone",
    "Ask",
    "AsyncActor",
    "Mailbox",
    "MailboxFull",
    "Reply",
    "Restart",
    "RestartLimit",
    "Supervisor",
]
