"""The documents are programs: every python block in them runs, every link leads somewhere.

A python block of README.md or docs/*.md is a whole program, unless a comment right before it says
otherwise:

    <!-- run: inside -->      statements inside a program: a broker lives, and there are `broker`,
                              `chat` (its namespace /chat), a connected `socket` in it, its `client`
    <!-- file: NAME -->       the block's file, for the other blocks of the page; of any language.
                              A python file is run as well: test_*.py by pytest
    <!-- shown: … -->         a part of an example, which test_docs_simulation.py runs

A program runs as `python file.py` does, until it ends or all of it waits and its broker has
answered a request; it listens on a free port, whatever its text says, and its Redis is that of the
tests. One that only defines a broker is served, as the command `atrio serve` would.
"""

from __future__ import annotations

import ast
import inspect
import os
import re
import runpy
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import click
import pytest
import trio
import trio.testing
import trustme

from broker import Broker, DisconnectReason, Options
from broker.cli import _options, _read_config, serve
from broker.serving.server import Address, Server
from broker.values.statistics import Statistics

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
EXAMPLES = sorted((DOCS / "examples").glob("*.py"))

REDIS = "redis://127.0.0.1:6379"

# A block in another language is for reading only, so each language is named.
LANGUAGES = {"python", "js", "sh", "toml", "text", "mermaid"}


@attrs.frozen
class Block:
    """A fenced block: where it begins, and the comment right before it, as (word, value)."""

    page: Path
    line: int
    language: str
    mark: tuple[str, str]
    text: str

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


_BLOCK = re.compile(
    r"(?:^<!-- (?P<word>\w+): (?P<value>.+) -->\n)?^```(?P<language>.*)\n(?P<text>(?s:.*?))^```$",
    re.MULTILINE,
)


def blocks_of(page: Path) -> Iterator[Block]:
    source = page.read_text()
    for found in _BLOCK.finditer(source):
        yield Block(
            page=page,
            line=source.count("\n", 0, found.start("text")) + 1,
            language=found["language"],
            mark=(found["word"] or "", found["value"] or ""),
            text=found["text"],
        )


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
PYTHON = [block for block in BLOCKS if block.language == "python"]


class Runner:
    """Runs programs in a folder: see the top of this file."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.ran = False
        self._visited = False
        self._scope = trio.CancelScope()
        self._run, self._serve = trio.run, Server.serve
        monkeypatch.chdir(folder)
        monkeypatch.setattr(trio, "run", self.run)
        runner = self

        async def serve(server: Server, *args: Any, **options: Any) -> None:
            await runner.serve(server, *args, **options)

        monkeypatch.setattr(Server, "serve", serve)
        authority = trustme.CA()
        certificate = authority.issue_cert("127.0.0.1")
        certificate.private_key_pem.write_to_path(folder / "key.pem")
        certificate.cert_chain_pems[0].write_to_path(folder / "certificate.pem")
        self._trust = ssl.create_default_context()
        authority.configure_trust(self._trust)

    def run_program(self, file: Path) -> None:
        names = runpy.run_path(str(file), run_name="__main__")
        brokers = [value for value in names.values() if isinstance(value, Broker)]
        if not self.ran and brokers:
            brokers[0].run()
        assert self.ran, "the program neither runs nor defines anything that could"

    def run(self, main: Any, *args: Any, **options: Any) -> Any:
        """Stand in for `trio.run`."""
        self.ran = True

        async def bounded() -> Any:
            with trio.fail_after(30), self._scope:
                return await main(*args)

        return self._run(bounded, **options)

    async def serve(
        self,
        server: Server,
        host: str | None = None,
        _port: int = 0,
        *,
        task_status: trio.TaskStatus[Address] = trio.TASK_STATUS_IGNORED,
        **options: Any,
    ) -> None:
        """Stand in for `Server.serve`: on a free port, until the server has been visited."""
        async with trio.open_nursery() as nursery:
            address = await nursery.start(partial(self._serve, server, host, 0, **options))
            task_status.started(address)
            await trio.testing.wait_all_tasks_blocked()
            await self._visit(address, server.options.path)
            await trio.testing.wait_all_tasks_blocked()
            self._scope.cancel()

    async def _visit(self, address: Address, path: str) -> None:
        stream: trio.abc.Stream
        if address.url.startswith("unix:"):
            stream = await trio.open_unix_socket(address.host)
        else:
            stream = await trio.open_tcp_stream(address.host, address.port)
        if address.url.startswith("https:"):
            stream = trio.SSLStream(
                stream, self._trust, server_hostname=address.host, https_compatible=True
            )
        async with stream:
            head = f"GET {path}?EIO=4&transport=polling HTTP/1.1\r\nHost: {address.host}\r\n\r\n"
            await stream.send_all(head.encode())
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 200 ")


@pytest.fixture(autouse=True)
def _nothing_fails_silently(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """A handler that fails only shows in the log."""
    yield
    records = caplog.get_records("call")
    assert [record.getMessage() for record in records if record.levelname == "ERROR"] == []


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runner:
    return Runner(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    "block", [block for block in PYTHON if block.mark[0] not in ("run", "shown")], ids=str
)
def test_a_program_in_the_documents_runs(
    block: Block, runner: Runner, request: pytest.FixtureRequest
) -> None:
    word, name = block.mark
    assert word in ("", "file"), f"{block}: unknown mark {block.mark}"
    for other in blocks_of(block.page):
        if other.mark[0] == "file":
            (runner.folder / other.mark[1]).write_text(other.text)
    if name.startswith("test_"):
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", name]
        done = subprocess.run(
            command, cwd=runner.folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    else:
        file = runner.folder / (name or "program.py")
        text = block.text
        if REDIS in text:
            text = text.replace(REDIS, request.getfixturevalue("redis").url)
        file.write_text(text)
        runner.run_program(file)


@pytest.mark.parametrize("block", [block for block in PYTHON if block.mark[0] == "run"], ids=str)
async def test_statements_in_the_documents_run_inside_a_program(block: Block) -> None:
    assert block.mark == ("run", "inside"), f"{block}: unknown mark {block.mark}"
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code = compile("\n" * (block.line - 1) + block.text, str(block.page), "exec", flags=flags)
    broker = Broker()
    chat = broker.of("/chat")
    async with broker.test_client("/chat", auth={"name": "Ann"}) as client:
        names = {
            "trio": trio,
            "broker": broker,
            "chat": chat,
            "socket": chat.sockets[client.id],
            "client": client,
        }
        with trio.fail_after(30):
            result = eval(code, names)  # noqa: S307 - they are our own documents
            if inspect.iscoroutine(result):
                await result


def test_every_block_is_seen_and_only_python_runs() -> None:
    for page in PAGES:
        fences = sum(line.startswith("```") for line in page.read_text().splitlines())
        assert fences == 2 * len(list(blocks_of(page))), page
    assert {block.language for block in BLOCKS} <= LANGUAGES
    marks = {block.mark[0] for block in BLOCKS if block.language != "python"}
    assert marks <= {"", "file"}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_runs(example: Path, runner: Runner) -> None:
    runner.run_program(example)


async def test_the_counter_example_counts_for_each_client() -> None:
    names = runpy.run_path(str(DOCS / "examples" / "a_counter_for_each_client.py"))
    broker: Broker = names["broker"]
    async with (
        broker,
        broker.test_client("/counter") as one,
        broker.test_client("/counter") as two,
    ):
        assert [await one.call("add", number) for number in (1, 2)] == [1, 3]
        assert await two.call("add", 5) == 5
        assert await one.call("add", "x") == {"error": "expected a whole number"}
        assert await one.call("reset") == 0
        assert await two.call("add", -7) == -2


@pytest.fixture
def node_packages() -> Path:
    """Where Node finds its client; without it what needs it does not run."""
    packages = ROOT / "tests" / "conformance" / "node_modules"
    if shutil.which("node") is None or not (packages / "socket.io-client").exists():
        missing = "needs Node.js: apt-get install -y nodejs npm, then .ci/test"
        assert not os.environ.get("CI"), missing
        pytest.skip(missing)
    return packages


@pytest.mark.parametrize(
    ("client", "server", "said"),
    [
        (
            "client.mjs",
            "chat_in_thirty_lines.py",
            ["in general", "Nora: hello", "acknowledged: true"],
        ),
        ("seats/race.mjs", "seats/seats.py", ["4 are seated, 16 are not: full"]),
    ],
)
async def test_the_node_examples_talk_to_their_servers(
    client: str, server: str, said: list[str], tmp_path: Path, node_packages: Path
) -> None:
    (tmp_path / "node_modules").symlink_to(node_packages)  # where Node looks for them
    script = shutil.copy(DOCS / "examples" / client, tmp_path)
    broker: Broker = runpy.run_path(str(DOCS / "examples" / server))["broker"]
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            address = await nursery.start(broker.serve, "127.0.0.1", 0)
            done = await trio.run_process(
                ["node", script, address.url], capture_stdout=True, capture_stderr=True, check=False
            )
            await broker.close()
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode().splitlines() == said


# Links.


def anchors_of(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", _BLOCK.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links_of(page: Path) -> list[str]:
    return re.findall(r"\]\(([^)\s]+)\)", _BLOCK.sub("", page.read_text()))


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_and_anchors_lead_somewhere(page: Path) -> None:
    for link in links_of(page):
        if re.match(r"https?://", link):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        assert not anchor or anchor in anchors_of(target), link


def test_every_page_can_be_reached_from_the_readme() -> None:
    readme = PAGES[0]
    linked = {(readme.parent / link.partition("#")[0]).resolve() for link in links_of(readme)}
    assert {page for page in PAGES if page != readme} <= linked


# What the documents say of the code.


def table(page: Path, heading: str) -> list[list[str]]:
    """Return the cells of the first table under a heading, without its two first lines."""
    section = page.read_text().partition(f"\n{heading}\n")[2]
    lines = re.search(r"(?:^\|.*\n)+", section, re.MULTILINE)
    assert lines is not None, f"there is no table under {heading!r} in {page.name}"
    return [
        [cell.strip() for cell in line.strip("| \n").split(" | ")]
        for line in lines[0].splitlines()[2:]
    ]


def test_each_row_of_the_tutorial_has_a_test_and_each_test_a_row() -> None:
    rows = [
        row[-1].strip("`") for row in table(DOCS / "tutorial.md", "## The rows and their tests")
    ]
    tests = [
        node.name
        for file in sorted((ROOT / "tests" / "tutorial").glob("test_*.py"))
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.AsyncFunctionDef) and node.name.startswith("test_tutorial_")
    ]
    assert len(rows) == len(set(rows))
    assert sorted(rows) == sorted(tests)


def test_each_row_of_the_tutorial_links_to_its_section() -> None:
    page = DOCS / "tutorial.md"
    rows = [row[0] for row in table(page, "## The rows and their tests")]
    linked = re.findall(r"\(#([\w-]+)\)", " ".join(rows))
    sections = [
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^### (.+)$", page.read_text(), re.MULTILINE)
    ]
    assert linked == sections


def test_the_options_are_documented_with_their_defaults() -> None:
    documented = [
        (name.strip("`"), default.strip("`"))
        for name, default, *_ in table(DOCS / "operations.md", "## Options")
    ]
    fields = [
        (field.name, ast.literal_eval(repr(getattr(Options(), field.name))))
        for field in attrs.fields(Options)
    ]
    assert sorted((name, ast.literal_eval(default)) for name, default in documented) == sorted(
        fields
    )


def test_the_ways_to_end_are_documented() -> None:
    documented = [
        (name.strip("`"), member.strip("`"), returns)
        for name, member, _, returns in table(DOCS / "concepts.md", "## Endings")
    ]
    assert documented == [
        (reason.value, reason.name, "yes" if reason.returns else "no")
        for reason in DisconnectReason
    ]


def modules_in(folder: Path) -> set[str]:
    return {file.stem for file in folder.glob("*.py")} - {"__init__"}


def test_the_packages_of_broker_are_documented() -> None:
    rows = table(DOCS / "architecture.md", "### The layers of broker")
    documented = {name: set(re.findall(r"`(\w+)`", files)) for name, files, _ in rows}
    broker = ROOT / "broker"
    top = {name for row in documented for name in re.findall(r"`(\w+)/?`", row)}
    assert top == modules_in(broker) | {file.parent.name for file in broker.glob("*/__init__.py")}
    for row, files in documented.items():
        for package in re.findall(r"`(\w+)/`", row):
            assert files == modules_in(broker / package), package


def test_the_layers_of_the_test_kit_are_documented_and_no_import_goes_up() -> None:
    layers = [
        re.findall(r"`(\w+)`", files)
        for _, files, _ in table(DOCS / "architecture.md", "### The layers of actors.sim")
    ]
    depth = {file: layer for layer, files in enumerate(layers) for file in files}
    folder = ROOT / "actors" / "sim"
    modules = modules_in(folder)
    assert sorted(file for files in layers for file in files) == sorted(modules)
    for module in modules:
        for node in ast.parse((folder / f"{module}.py").read_text()).body:
            if isinstance(node, ast.ImportFrom) and node.level == 1:
                for name in [node.module] if node.module else [each.name for each in node.names]:
                    assert depth[name] >= depth[module], f"{module} imports {name}"


def test_the_command_line_and_the_statistics_are_documented() -> None:
    text = (DOCS / "operations.md").read_text()
    for parameter in serve.params:
        if isinstance(parameter, click.Option):
            assert f"`{parameter.opts[0]}" in text, parameter.opts[0]
    for field in attrs.fields(Statistics):
        assert f"`{field.name}`" in text, field.name


def test_the_configuration_file_in_the_documents_is_accepted(tmp_path: Path) -> None:
    (block,) = (block for block in BLOCKS if block.mark == ("file", "atrio.toml"))
    file = tmp_path / "atrio.toml"
    file.write_text(block.text)
    assert isinstance(_options(_read_config(file).options), Options)


def test_the_readme_has_exactly_two_commands_and_a_short_example() -> None:
    readme = [block for block in BLOCKS if block.page == PAGES[0]]
    assert [block.text for block in readme if block.language == "sh"] == [
        ".ci/serve\n",
        ".ci/test\n",
    ]
    (example,) = (block for block in readme if block.language == "python")
    assert len([line for line in example.text.splitlines() if line.strip()]) <= 10
    for command in (".ci/serve", ".ci/test"):
        assert os.access(ROOT / command, os.X_OK)
