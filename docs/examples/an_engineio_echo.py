"""The layer below: Engine.IO sessions without Socket.IO, for a protocol of one's own."""

from broker.engine import Engine, Session

engine = Engine(path="/engine.io/", ping_interval=10)


@engine.on_session
async def echo(session: Session) -> None:
    """Run for the life of one session; cancelled when it ends."""
    async for message in session:  # str or bytes
        await session.send(message)


if __name__ == "__main__":
    engine.run("127.0.0.1", 3001)
