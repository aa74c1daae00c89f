"""The table of faults for docs/acceptance.md: `python fault_table.py` writes it into the page."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parents[2] / "docs" / "acceptance.md"
BEGIN, END = "<!-- the table of faults begins -->\n", "<!-- the table of faults ends -->\n"


CLASSICS = {
    "source_has_no_spec",
    "source_leaks_its_secret",
    "source_prints_to_standard_output",
    "source_resumes_one_row_late",
    "source_swallows_errors",
    "destination_acknowledges_before_commit",
    "destination_drops_the_last_batch",
    "destination_half_overwrites",
    "destination_loses_the_id",
    "destination_swallows_errors",
}


@dataclass(frozen=True)
class Fault:
    """A broken connector: what is wrong with it, and the test that is named for it."""

    path: Path
    about: str
    caught_by: str

    @property
    def classic(self) -> bool:
        """One of the faults that lose data and that everybody makes: tried on every run of the tests."""
        return self.name in CLASSICS

    @property
    def name(self) -> str:
        return self.path.stem


def faults(kind: str) -> Iterator[Fault]:
    """The broken connectors of a kind (`source`, `destination`), by name. Their files are read and not run."""
    for path in sorted(HERE.glob(f"{kind}_*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        constants = {
            node.targets[0].id: node.value.value
            for node in tree.body
            if isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and isinstance(node.value, ast.Constant)
        }
        yield Fault(path, ast.get_docstring(tree) or "", str(constants["CAUGHT_BY"]))


def table() -> str:
    lines = ["| broken connector | what is wrong with it | the test that catches it |", "|---|---|---|"]
    for kind in ("source", "destination"):
        lines += [f"| `{fault.name}` | {fault.about} | `{fault.caught_by}` |" for fault in faults(kind)]
    return "\n".join(lines) + "\n"


def page_with_table(text: str) -> str:
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{table()}\n{END}{tail}"


if __name__ == "__main__":
    PAGE.write_text(page_with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
