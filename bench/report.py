"""How figures look: plain aligned tables, and for each target whether it was met. Only prints."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Target:
    """A bound that a measured figure must keep."""

    claim: str
    figure: float
    _: KW_ONLY
    at_least: float | None = None
    at_most: float | None = None

    @property
    def met(self) -> bool:
        """Whether the figure keeps its bounds."""
        return (self.at_least is None or self.figure >= self.at_least) and (
            self.at_most is None or self.figure <= self.at_most
        )

    def __str__(self) -> str:
        bounds = [f"at least {self.at_least:g}"] if self.at_least is not None else []
        bounds += [f"at most {self.at_most:g}"] if self.at_most is not None else []
        verdict = "met   " if self.met else "MISSED"
        return f"{verdict} {self.claim}: {self.figure:.3g} ({', '.join(bounds)})"


def ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """Return the median of the ratios of each round: what slows a whole round down cancels out."""
    return median(one / other for one, other in zip(above, below, strict=True))


def print_table(title: str, rows: Sequence[Mapping[str, object]]) -> None:
    """Print rows under the names of their columns, numbers to the right."""
    header, cells = list(rows[0]), [[_cell(value) for value in row.values()] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    print(f"\n{title}")
    print("  " + "  ".join(name.ljust(width) for name, width in zip(header, widths, strict=True)).rstrip())
    for line in cells:
        print("  " + "  ".join(_aligned(cell, width) for cell, width in zip(line, widths, strict=True)).rstrip())


def print_targets(targets: Iterable[Target]) -> None:
    """Print each target with its verdict."""
    for target in targets:
        print(f"  {target}", flush=True)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}" if value < 10 else f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _aligned(cell: str, width: int) -> str:
    return cell.rjust(width) if cell[:1].isdigit() else cell.ljust(width)
