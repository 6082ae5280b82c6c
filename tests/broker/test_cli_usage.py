"""`atrio serve` that cannot be: what it says, and the exit code."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import trio

ATRIO = Path(sys.executable).with_name("atrio")

# A first start compiles what it imports, maybe beside other work.
DEADLINE = 30.0

APP = """
from broker import Broker

broker = Broker()
"""


async def _kill(process: trio.Process) -> None:
    process.kill()


async def run(*args: str, cwd: Path | None = None) -> tuple[int, str]:
    """Run `atrio …` to its end; return the exit code and what it said on stderr."""
    with trio.fail_after(DEADLINE):
        done = await trio.run_process(
            [ATRIO, *args],
            capture_stdout=True,
            capture_stderr=True,
            check=False,
            deliver_cancel=_kill,
            cwd=cwd,
            env={**os.environ, "PYTHONWARNINGS": "error"},
        )
    return done.returncode, done.stderr.decode()


@pytest.mark.parametrize(
    ("target", "explained"),
    [
        ("nothing:broker", "there is no module 'nothing'"),
        ("pkg.nothing:broker", "there is no module 'pkg.nothing'"),
        ("app:nothing", "expected 'nothing' of"),
        ("app:text", "to be a Broker, saw 'hello'"),
        ("app:Broker", "to be a Broker, saw <class"),
        ("app", "expected MODULE:BROKER, as in app:broker, saw 'app'"),
        ("app:", "expected MODULE:BROKER"),
        (":broker", "expected MODULE:BROKER"),
    ],
)
async def test_a_target_that_is_none_is_explained(
    tmp_path: Path, target: str, explained: str
) -> None:
    (tmp_path / "app.py").write_text(f"{APP}\ntext = 'hello'\n")
    code, said = await run("serve", "--port", "0", target, cwd=tmp_path)
    assert (code, "Traceback" in said) == (2, False), said
    assert explained in said


async def test_what_fails_inside_the_users_module_is_shown_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("import something_they_have_not\n")
    code, said = await run("serve", "app:broker", cwd=tmp_path)
    assert code == 1
    assert "No module named 'something_they_have_not'" in said


async def test_a_module_with_the_name_of_our_package_is_explained(tmp_path: Path) -> None:
    (tmp_path / "broker.py").write_text("mine = 1\n")
    explained = "a module 'broker' in"
    code, said = await run("serve", "broker:broker", cwd=tmp_path)
    assert (code, explained in said, "Traceback" in said) == (2, True, False), said
    assert "give yours another name" in said
    # … which `app` only imports
    (tmp_path / "app.py").write_text("from broker import mine\n")
    code, said = await run("serve", "app:broker", cwd=tmp_path)
    assert (code, explained in said, "Traceback" in said) == (2, True, False), said


async def test_a_package_with_the_name_of_ours_is_explained(tmp_path: Path) -> None:
    (tmp_path / "broker").mkdir()
    (tmp_path / "broker" / "__init__.py").write_text("")
    (tmp_path / "broker" / "app.py").write_text(APP)
    code, said = await run("serve", "broker.app:broker", cwd=tmp_path)
    assert (code, "a module 'broker' in" in said, "Traceback" in said) == (2, True, False), said


@pytest.mark.parametrize(
    ("text", "explained"),
    [
        ("[options]\nping_intervall = 5\n", "unknown: ping_intervall (known:"),
        ("[options]\nping_interval = -1\n", "ping_interval: expected more than 0, saw -1"),
        (
            "[options]\nping_interval = 'often'\n",
            "ping_interval: expected more than 0, saw 'often'",
        ),
        ("[options]\ncors_allowed_origins = ['app.example']\n", "expected '*' or origins like"),
        (
            "[options]\nconnection_state_recovery = true\n",
            "expected a table, as in `connection_state_recovery = {max_disconnection = 120.0}`",
        ),
        (
            "[options.connection_state_recovery]\nmax_disconection = 5\n",
            "[options.connection_state_recovery]: unknown: max_disconection (known: max_absent,",
        ),
        (
            "[options.connection_state_recovery]\nmax_disconnection = '2 min'\n",
            "[options.connection_state_recovery]: max_disconnection: expected more than 0, saw",
        ),
        (
            "[options]\nconnection_state_recovery = {max_bytes = 1.5}\n",
            "[options.connection_state_recovery]: max_bytes: expected a whole number",
        ),
        ("[options]\nadapter = 'redis://x'\n", "adapter: expected None or an Adapter"),
        ("prot = 3000\n", "unknown field `prot`"),
        ("port = '3000'\n", "Expected `int`, got `str`"),
        ("port = 70000\n", "port"),
        ("log_level = 'loud'\n", "log_level"),
        ("drain_batch = 'all'\n", "drain_batch"),
        ("port = \n", "atrio.toml"),
        ("port = 3000 # \xff", "atrio.toml"),
    ],
)
async def test_a_mistake_in_the_file_is_explained(
    tmp_path: Path, text: str, explained: str
) -> None:
    file = tmp_path / "atrio.toml"
    file.write_bytes(text.encode("latin-1"))
    code, said = await run("serve", "--config", str(file))
    assert (code, "Traceback" in said) == (2, False), said
    assert explained in said


@pytest.mark.parametrize(
    ("arguments", "explained"),
    [
        (["--port", "70000"], "--port"),
        (["--port", "many"], "--port"),
        (["--log-level", "loud"], "--log-level"),
        (["--config", "nowhere.toml"], "nowhere.toml"),
        (["--prot", "3000"], "--prot"),
        (["app:broker", "--admin-token", "x"], "for the built-in chat"),
        (["app:broker", "more"], "more"),
        (["--drain-batch", "0"], "drain batch: expected a whole number from 1 up, saw 0"),
        (["--drain-batch", "few"], "--drain-batch"),
        (["--drain-batch", "1", "--drain-interval", "0"], "drain interval: expected more than 0"),
        (["--drain-interval", "2"], "give a drain batch, too"),
    ],
)
async def test_a_mistake_on_the_command_line_is_explained(
    tmp_path: Path, arguments: list[str], explained: str
) -> None:
    (tmp_path / "app.py").write_text(APP)
    code, said = await run("serve", *arguments, cwd=tmp_path)
    assert (code, "Traceback" in said) == (2, False), said
    assert explained in said


async def test_a_host_that_is_none_is_a_failure_that_names_it() -> None:
    code, said = await run("serve", "--port", "0", "--host", "host.invalid")
    assert (code, "Traceback" in said) == (1, False), said
    assert "cannot listen on host.invalid" in said
