"""The command `atrio`.

    atrio serve                     the built-in chat, its page at /
    atrio serve MODULE:BROKER       a broker of yours: `broker = Broker()` in MODULE.py

Exit codes: 0 stopped, 1 failed, 2 usage.
"""

from __future__ import annotations

import gc
import importlib
import logging
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import attrs
import click
import msgspec
import trio

from .broker import Broker
from .chat import Chat
from .serving.server import Address
from .values.options import PUBLIC, Drain, Options, Recovery

logger = logging.getLogger("atrio.broker")

# The packages of atrio; a user's folder may hold files of these names.
_OURS = ("broker", "actors", "protocol")
_HEALTHZ = "/healthz"
_RECOVERY = "connection_state_recovery"

T = TypeVar("T", Options, Recovery)


class Config(msgspec.Struct, forbid_unknown_fields=True):
    """What `--config` may hold; what the command line says goes before it."""

    host: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 3000
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    admin_token: str | None = None
    public: bool = False
    drain_batch: int | None = None
    drain_interval: float | None = None
    options: dict[str, Any] = {}


_USUAL_THRESHOLD = gc.get_threshold()


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="atrio")
def main() -> None:
    """Atrio: a Socket.IO server on Trio, whose rooms are actors with a promised order."""


@main.command()
@click.argument("target", metavar="[MODULE:BROKER]", required=False)
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="0: any free one.  [default: 3000]")
@click.option(
    "--config",
    "config_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="TOML file: host, port, log_level, admin_token, public, drain_batch, drain_interval, and "
    "tables: [options], and in it [options.connection_state_recovery].",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    help="[default: info]",
)
@click.option(
    "--admin-token",
    help="Who has it may enter /admin of the chat; without one, this machine may.",
)
@click.option(
    "--public",
    is_flag=True,
    help="Limit the rates and connections of each client, for the open internet.",
)
@click.option(
    "--drain-batch",
    type=int,
    help="When it is stopped, let so many clients go at a time.  [default: all at once]",
)
@click.option(
    "--drain-interval",
    type=float,
    help="Seconds from one such wave to the next.  [default: 1]",
)
def serve(
    target: str | None,
    host: str | None,
    port: int | None,
    config_file: Path | None,
    log_level: str | None,
    admin_token: str | None,
    public: bool,
    drain_batch: int | None,
    drain_interval: float | None,
) -> None:
    """Serve MODULE:BROKER, or the built-in chat, until Ctrl-C or SIGTERM."""
    config = Config() if config_file is None else _read_config(config_file)
    level = (log_level or config.log_level).upper()
    logging.basicConfig(
        stream=sys.stderr, level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    admin_token = admin_token or config.admin_token
    companion: Callable[[], Awaitable[None]] = trio.sleep_forever
    if target is None:
        chat = Chat(_options(config.options), admin_token=admin_token)
        broker, companion = chat.broker, chat.run
    elif config.options or admin_token is not None:
        raise click.UsageError(
            "[options] and the admin token are for the built-in chat: give yours to Broker(...)"
        )
    else:
        broker = _load(target)
    if broker.options.healthz is None:
        broker.options = attrs.evolve(broker.options, healthz=_HEALTHZ)
    if public or config.public:
        _limit(broker)
    drain = _drain(
        config.drain_batch if drain_batch is None else drain_batch,
        config.drain_interval if drain_interval is None else drain_interval,
    )
    host, port = host or config.host, config.port if port is None else port
    _run(partial(broker.serve_until_signalled, host, port, drain=drain), companion, host, port)


def _spare_collector() -> None:
    """Let Python's collector look at less, more rarely, unless the user's module has set it.

    With its defaults it takes a quarter of the time that a client needs to connect: it looks at
    all that has come to be, and connections stay. Little here is garbage in a circle.
    """
    if gc.get_threshold() == _USUAL_THRESHOLD:
        gc.collect()
        gc.freeze()  # what was imported stays for ever
        gc.set_threshold(10_000, 20, 20)


def _run(
    serve: Callable[..., Awaitable[None]],
    companion: Callable[[], Awaitable[None]],
    host: str,
    port: int,
) -> None:
    failures: list[Exception] = []
    _spare_collector()
    try:
        trio.run(_serve, serve, companion)
    except* OSError as group:
        failures = list(group.exceptions)
    if failures:
        told = str(failures[0])
        if not isinstance(failures[0], ConnectionError):  # an adapter's, which says it all
            told = f"cannot listen on {host}, port {port}: {told}"
        raise click.ClickException(told)


async def _serve(
    serve: Callable[..., Awaitable[None]], companion: Callable[[], Awaitable[None]]
) -> None:
    async with trio.open_nursery() as nursery:

        async def serve_to_the_end(task_status: trio.TaskStatus[Address]) -> None:
            await serve(task_status=task_status)
            nursery.cancel_scope.cancel()

        address = await nursery.start(serve_to_the_end)
        click.echo(f"atrio listening on {address.url}")
        sys.stdout.flush()
        nursery.start_soon(companion)


# What the command line names.


def _read_config(file: Path) -> Config:
    try:
        return msgspec.toml.decode(file.read_bytes(), type=Config)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{file}: {error}") from None


def _options(values: dict[str, Any]) -> Options:
    values = dict(values)
    if (recovery := values.get(_RECOVERY)) is not None:
        if not isinstance(recovery, dict):
            raise click.UsageError(
                f"[options]: {_RECOVERY}: expected a table, as in "
                f"`{_RECOVERY} = {{max_disconnection = 120.0}}`, saw {recovery!r}"
            )
        values[_RECOVERY] = _made(Recovery, recovery, f"[options.{_RECOVERY}]")
    return _made(Options, values, "[options]")


def _made(kind: type[T], values: dict[str, Any], table: str) -> T:
    """Return what a table of the file says."""
    known = {field.name for field in attrs.fields(kind)}
    unknown = ", ".join(sorted(set(values) - known))
    if unknown:
        raise click.UsageError(f"{table}: unknown: {unknown} (known: {', '.join(sorted(known))})")
    try:
        return kind(**values)
    except (TypeError, ValueError) as error:
        raise click.UsageError(f"{table}: {error}") from None


def _drain(batch: int | None, interval: float | None) -> Drain | None:
    if batch is None:
        if interval is not None:
            raise click.UsageError("the drain interval is for waves: give a drain batch, too")
        return None
    try:
        return Drain(batch) if interval is None else Drain(batch, interval)
    except ValueError as error:
        raise click.UsageError(f"drain {error}") from None


def _limit(broker: Broker) -> None:
    """Set what is recommended for the open internet, where the broker's own options are off."""
    options = broker.options
    off: dict[str, Any] = {
        name: value for name, value in PUBLIC.items() if getattr(options, name) is None
    }
    broker.options = attrs.evolve(options, **off)
    for name in PUBLIC:
        logger.info(
            "public: %s=%d%s",
            name,
            getattr(broker.options, name),
            "" if name in off else ", the broker's own",
        )


def _load(target: str) -> Broker:
    """Import MODULE and return its BROKER."""
    module_name, colon, name = target.partition(":")
    if not (module_name and colon and name):
        raise click.UsageError(f"expected MODULE:BROKER, as in app:broker, saw {target!r}")
    folder = Path.cwd()
    _explain_if_ours(module_name, folder)
    _let_in(folder)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise click.UsageError(f"there is no module {module_name!r} in {folder}") from None
    except ImportError as error:
        _explain_if_ours(error.name or "", folder)
        raise
    broker = getattr(module, name, None)
    if not isinstance(broker, Broker):
        raise click.UsageError(
            f"expected {name!r} of {module.__file__} to be a Broker, saw {broker!r}"
        )
    return broker


def _let_in(folder: Path) -> None:
    """Let modules of `folder` be imported, those that are named like ours, too.

    All of atrio is imported by now and holds what it needs, so the names `actors` and `protocol`
    can mean the user's own modules in the user's program.
    """
    sys.path.insert(0, str(folder))
    for name in _OURS[1:]:
        if _is_in(name, folder):
            for loaded in [*sys.modules]:
                if loaded == name or loaded.startswith(f"{name}."):
                    del sys.modules[loaded]


def _explain_if_ours(module_name: str, folder: Path) -> None:
    package = module_name.partition(".")[0]
    if package == _OURS[0] and _is_in(package, folder):
        raise click.UsageError(
            f"a module {package!r} in {folder} has the name of atrio's own package, which it "
            "hides or is hidden by: give yours another name"
        )


def _is_in(name: str, folder: Path) -> bool:
    return (folder / f"{name}.py").is_file() or (folder / name / "__init__.py").is_file()
