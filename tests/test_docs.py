"""Every command in the documentation and the help exists, and every example that can be run is run."""

import re
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from sqlalchemy import Engine, text

from etl.cli import cli
from etl.config import jobs, settings
from etl.sandbox.server import RunningSandbox
from etl.tokens.vault import new_key

PAGES = sorted([Path("README.md"), Path("CONTRIBUTING.md"), *Path("docs").rglob("*.md")])
CODE = re.compile(r"```(?:mermaid.*?|[a-z]*\n(.*?))```|`([^`]+)`", re.DOTALL)
ETL = re.compile(r"(?:^|[\s/(;`])etl((?: +[^\s`|;&)#,:]+)+)", re.MULTILINE)
MAKE = re.compile(r"(?:^|[\s(`])make ([a-z]+)\b", re.MULTILINE)
PLACEHOLDERS = re.compile(r"^[^-a-z]|[…=/.$'\"<\[]")


def commands(command: click.Command, path: str = "etl") -> Iterator[tuple[str, click.Command]]:
    """A command and those within it, each with its whole name."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from commands(inner, f"{path} {name}")


HELP = {f"{path} --help": command.get_help(click.Context(command, info_name=path)) for path, command in commands(cli)}
TEXTS = {str(page): page.read_text(encoding="utf-8") for page in PAGES} | HELP


def typed(source: str) -> str:
    """The code in a text; a help text is searched as a whole."""
    text = TEXTS[source]
    return text if source in HELP else "\n".join(block or span for block, span in CODE.findall(text))


def problem_of(words: list[str]) -> str | None:
    """The part of a command line that does not exist, or None; commands come before options."""
    command: click.Command = cli
    for word in words:
        if command.context_settings.get("ignore_unknown_options"):
            return None
        options = {name for each in command.params for name in (*each.opts, *each.secondary_opts)} | {"--help", "-h"}
        if re.match(r"-+[a-z]", word):
            if word.partition("=")[0] not in options | {"--version"}:
                return f"{command.name} has no option {word}"
        elif isinstance(command, click.Group):
            if PLACEHOLDERS.search(word):
                return None
            # etl db url/psql and etl dead list|show name several at once.
            found = [command.get_command(click.Context(command), name) for name in re.split(r"[/|]", word)]
            if None in found:
                return f"there is no command {word} in {command.name}"
            command = found[-1] or command
    return None


@pytest.mark.parametrize("line", ["fly", "db fly", "run --speed 3", "dead list|fly", "locations pause --all"])
def test_what_does_not_exist_is_found(line: str) -> None:
    assert problem_of(line.split()) is not None


@pytest.mark.parametrize("source", TEXTS)
def test_every_command_and_option_that_is_told_exists(source: str) -> None:
    lines = [found.split() for found in ETL.findall(typed(source))]
    problems = [f"etl {' '.join(words)}: {problem_of(words)}" for words in lines if problem_of(words)]
    assert problems == []


@pytest.mark.parametrize("source", [str(page) for page in PAGES])
def test_every_target_of_make_that_is_told_exists(source: str) -> None:
    known = set(re.findall(r"^([a-z]+):.*## ", Path("Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(MAKE.findall(typed(source))) - known == set()


def test_the_pages_name_commands_at_all() -> None:
    assert len([words for source in TEXTS for words in ETL.findall(typed(source))]) > 50


def examples(found: Iterable[tuple[str, str]]) -> list[Any]:
    """Examples, each with its page, as the parameters of a test."""
    return [pytest.param(example, id=f"{page} {example[-40:]}") for page, example in found]


def blocks(language: str) -> list[tuple[str, str]]:
    """The examples in a language, each with its page."""
    fence = re.compile(rf"^```{language}\n(.*?)^```", re.DOTALL | re.MULTILINE)
    return [(str(page), block) for page in PAGES for block in fence.findall(TEXTS[str(page)])]


def spans(pattern: str) -> list[tuple[str, str]]:
    """The pieces of code within sentences that match, each with its page; what is left open in it is not run."""
    found = [(str(page), span) for page in PAGES for _, span in CODE.findall(TEXTS[str(page)])]
    return [(page, span) for page, span in found if re.match(pattern, span) and "…" not in span]


def command_lines() -> list[tuple[str, str]]:
    """The examples of commands, whole, without what a shell makes of them; what is left open in it is not run."""
    lines = [
        (page, line) for name in ("console", "cron") for page, block in blocks(name) for line in block.splitlines()
    ]
    lines += [(name, line) for name, page in HELP.items() for line in re.findall(r"Example[^:]*: +(etl .*)", page)]
    typed = [(page, re.sub(r".*/(?=etl )|^\$ ", "", line)) for page, line in lines]
    return [(page, re.split(r" [<>|] | # ", line)[0]) for page, line in typed if re.match("etl [^…]*$", line)]


SQL = [*blocks("sql"), *spans("(SELECT|INSERT|UPDATE|DELETE|ALTER|CREATE|GRANT|REVOKE) .* ")]
SETTINGS = [*blocks("sh"), *((page, span) for page, span in spans("[A-Z_]+=.") if span.startswith(settings.PREFIXES))]


@pytest.mark.parametrize("block", examples(each for each in SQL if "citus" not in each[1]))
def test_an_example_of_sql_runs(engine: Engine, block: str) -> None:
    with engine.connect() as connection:
        connection.execute(text("CREATE TEMPORARY TABLE my_ids (message_id text)"))
        connection.exec_driver_sql(block, execution_options={"no_parameters": True})


KEYS = [(page, f"jobs:\n  a:\n    {span}\n") for page, span in spans(rf"({'|'.join(jobs.JobKeys.model_fields)}): ")]


@pytest.mark.parametrize("block", examples([*blocks("yaml"), *KEYS]))
def test_an_example_of_jobs_is_understood(tmp_path: Path, block: str) -> None:
    (tmp_path / "jobs.yaml").write_text(block)
    assert jobs.read(tmp_path / "jobs.yaml").named != {}


@pytest.mark.parametrize(
    ("written", "other"),
    [("bulk: auto", "bulk: off"), ("bulk: auto", "bulk: on"), ("#    recordings_url", "    recordings_url")],
)
def test_each_value_that_the_comments_of_the_jobs_name_is_understood(tmp_path: Path, written: str, other: str) -> None:
    shipped = Path("jobs.yaml").read_text(encoding="utf-8")
    (tmp_path / "jobs.yaml").write_text(shipped.replace(written, other))
    assert (written in shipped, jobs.read(tmp_path / "jobs.yaml").named.keys()) == (True, jobs.read(None).named.keys())


@pytest.mark.parametrize("block", examples(SETTINGS))
def test_an_example_of_settings_is_understood(tmp_path: Path, block: str) -> None:
    (tmp_path / "token").write_text("pit-1")
    written = (
        block.replace("SECRET_KEY=…", f"SECRET_KEY={new_key()}")
        .replace("…", "x")
        .replace("/run/secrets", str(tmp_path))
    )
    (tmp_path / ".env").write_text(written)
    assert settings.read({}, dotenv=tmp_path / ".env") != settings.read({}, dotenv=None)


@pytest.mark.parametrize("line", examples(command_lines()))
def test_an_example_of_a_command_is_understood(line: str) -> None:
    command: click.Command = cli
    words = shlex.split(line)[1:]
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(click.Context(command), words.pop(0))
        assert found is not None
        command = found
    command.make_context(command.name, words)


def test_the_examples_of_python_run(sandbox: RunningSandbox, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = (block for _, block in blocks("python"))
    exec(first, {})  # noqa: S102 - an example of our own
    names = ("message_id", "call_id", "location_id", "contact_id", "other_id")
    exec(second, {"sandbox": sandbox, **{name: name for name in names}})  # noqa: S102
    assert "message" in capsys.readouterr().out


LINK = re.compile(r"\]\(([^)\s]+)\)")


@pytest.mark.parametrize("page", [*PAGES, Path("SECURITY.md")], ids=str)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    """The site's builder checks them, too; this one needs nothing to be installed."""
    links = [each.partition("#") for each in LINK.findall(page.read_text()) if "://" not in each]
    broken = [
        f"{path}#{anchor}"
        for path, _, anchor in links
        if not (page.parent / path).exists() or (anchor and anchor not in anchors(page.parent / path if path else page))
    ]
    assert broken == []


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and the site name them."""
    headings = re.findall(r"^#+ (.*)", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).strip().replace(" ", "-") for each in headings}


def test_decisions_that_the_code_names_exist() -> None:
    code = "\n".join(path.read_text() for path in Path("etl").rglob("*.py"))
    named = set(re.findall(r'Why: docs/decisions, "(.*?)"', code))
    headings = set(re.findall(r"^## (.*)", Path("docs/decisions/README.md").read_text(), re.MULTILINE))
    assert named
    assert named <= headings


def test_the_site_has_every_page() -> None:
    named = re.findall(r"[\w/]+\.md", Path("mkdocs.yml").read_text().partition("nav:")[2])
    there = {path.relative_to("docs").as_posix() for path in Path("docs").rglob("*.md")}
    assert there - set(named) == set()
