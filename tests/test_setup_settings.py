"""docs/settings.md and docs/switchboard.md say what the code reads: neither goes its own way."""

import ast
import re
from pathlib import Path
from typing import Any

import yaml
from django.core.management import load_command_class

ROOT = Path(__file__).resolve().parent.parent
# Set by the project itself for processes of its own.
NOT_FOR_OPERATORS = {"DJANGO_SETTINGS_MODULE", "MAKELEVEL", "SWITCHBOARD_ACCOUNT"}


def rows(page: str, heading: str) -> dict[str, list[str]]:
    """The table below a heading: what stands in backquotes in the first cell → the other cells."""
    text = (ROOT / "docs" / page).read_text()
    section = re.split(r"(?m)^## ", text.split(f"## {heading}\n", 1)[1])[0]
    cells = [
        [cell.strip() for cell in line.strip().strip("|").split("|")]
        for line in section.splitlines()
        if line.startswith("| `")
    ]
    return {re.findall(r"`([^`]+)`", row[0])[0]: row[1:] for row in cells}


def shown(value: Any) -> str:
    """A default as the table shows it."""
    if isinstance(value, list):
        value = ",".join(value)
    return f"`{value}`" if str(value) else ""


def literal(node: ast.expr | None) -> Any:
    """The value of a default that is written out; None when it is worked out."""
    try:
        return ast.literal_eval(node) if node is not None else ""
    except ValueError:
        return None


def read_by(path: Path) -> dict[str, Any]:
    """What a module reads from the environment, with the defaults that are written out."""
    found: dict[str, Any] = {}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            of = ast.unparse(node.func.value)
            if of == "env" or (of == "os.environ" and node.func.attr == "get"):
                name = literal(node.args[0])
                more = [word.value for word in node.keywords if word.arg == "default"]
                found[name] = literal([*node.args[1:], *more, None][0])
    return found


def test_every_setting_is_in_the_table_with_its_default() -> None:
    code: dict[str, Any] = {}
    for module in ("settings.py", "queues.py"):
        code |= read_by(ROOT / "config" / module)
    table = rows("settings.md", "All of them")
    assert set(table) == set(code)
    for name, default in code.items():
        if default is None:
            assert table[name][0].startswith("("), f"{name}: a default in words"
        else:
            assert table[name][0] == shown(default), name
    assert all(len(cells) == 2 and cells[1].endswith(".") for cells in table.values())


def test_every_word_for_the_local_commands_is_in_the_table() -> None:
    code: set[str] = set()
    for module in (ROOT / "config" / "local").glob("*.py"):
        code |= set(read_by(module))
    assert set(rows("settings.md", "`make demo`, `make main-job`, `make test`")) == (
        code - NOT_FOR_OPERATORS
    )


def test_production_reads_what_the_example_names() -> None:
    """Every variable of docker-compose.yml is in .env.example and on the page, and no other."""
    compose = (ROOT / "docker-compose.yml").read_text()
    used = dict(re.findall(r"\$\{([A-Z_]+):([?-])", compose))
    example = re.findall(r"(?m)^([A-Z_]+)=", (ROOT / ".env.example").read_text())
    assert set(used) == set(example)
    text = (ROOT / "docs" / "settings.md").read_text()
    section = text.split("## What production must set", 1)[1].split("## All of them")[0]
    assert set(used) == set(re.findall(r"`([A-Z_]{8,})`", section))
    # The five that nothing starts without come first, in both.
    must = {name for name, kind in used.items() if kind == "?"}
    assert set(example[:5]) == must
    handed_on = yaml.safe_load(compose)["x-app"]["environment"]
    known = set(rows("settings.md", "All of them"))
    assert set(handed_on) <= known
    ignored = (ROOT / ".gitignore").read_text().split()
    assert ".env" in ignored, "secrets are not committed"


def test_every_option_of_the_switchboard_is_in_the_table() -> None:
    for name in ("switchboard", "switchboard_account"):
        command = load_command_class("dialer_adapters.switchboard", name)
        parser = command.create_parser("manage.py", name)
        django = load_command_class("django.core", "check").create_parser("manage.py", "check")
        general = {word for action in django._actions for word in action.option_strings}
        code = {
            action.option_strings[-1]: action.default
            for action in parser._actions
            if action.option_strings and action.option_strings[-1] not in general
        }
        table = rows("switchboard.md", f"`manage.py {name}`")
        assert set(table) == set(code), name
        for option, default in code.items():
            wanted = "" if default is None or default is False else shown(default)
            assert table[option][0] == wanted, option


def test_the_switchboard_s_troubles_are_all_named() -> None:
    from dialer_adapters.switchboard.control import TROUBLES

    assert set(rows("switchboard.md", "Trouble on demand")) >= set(TROUBLES)
