"""The rule for statements on ``highlevel`` (docs/architecture.md), so that they run on Citus too. Only parses.

It reads one statement without a catalogue of its own. Weakness: casts that depend on settings pass for immutable, two
values for ``location_id`` in one statement pass for the same, and a union that is not outermost passes.
"""

import re
from collections import ChainMap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from pglast import ast, parse_sql
from pglast.enums import A_Expr_Kind, BoolExprType, LimitOption, SetOperation
from sqlalchemy import Connection, text

from etl.database import views
from etl.models import Base

KEY = "location_id"
TABLES = [table for table in Base.metadata.sorted_tables if table.schema == "highlevel"]
DISTRIBUTED = frozenset(table.name for table in TABLES if KEY in table.columns) | frozenset(views.NAMES)
FIXED = "a value"
Scope = ChainMap[str, str]


@dataclass(frozen=True, slots=True)
class Functions:
    """Names of Postgres's functions: those that are not immutable, and aggregates."""

    mutable: frozenset[str]
    aggregates: frozenset[str]

    @classmethod
    def of(cls, connection: Connection) -> "Functions":
        """Ask; a name counts as mutable if one function of it is."""
        query = text("SELECT proname, bool_or(provolatile <> 'i'), bool_or(prokind = 'a') FROM pg_proc GROUP BY 1")
        rows = connection.execute(query).all()
        return cls(frozenset(n for n, each, _ in rows if each), frozenset(n for n, _, each in rows if each))


@cache
def violations(statement: str, functions: Functions) -> tuple[str, ...]:
    """The faults of a statement as psycopg sends it; empty if there are none."""
    plain = re.sub(r"%\(\w+\)[sbt]|%[sbt]", "$1", statement).replace("%%", "%")
    found = []
    for raw in parse_sql(plain):
        checker = _Checker(functions)
        stmt = raw.stmt.query if isinstance(raw.stmt, ast.ViewStmt) else raw.stmt
        if isinstance(stmt, ast.SelectStmt | ast.InsertStmt | ast.UpdateStmt | ast.DeleteStmt):
            checker.query(stmt, ChainMap())
        found += checker.found
    return tuple(found)


@dataclass
class _Checker:
    """Tables of one statement, and which of them have the same location."""

    functions: Functions
    found: list[str] = field(default_factory=list)
    parents: dict[str, str] = field(default_factory=dict)
    filtered: set[str] = field(default_factory=set)
    ctes: dict[str, list[str]] = field(default_factory=dict)

    def query(self, node: Any, outer: Scope) -> list[str]:
        """Check a query with all that is in it; returns its distributed tables."""
        for cte in node.withClause.ctes if getattr(node, "withClause", None) else ():
            self.ctes[cte.ctename] = self.query(cte.ctequery, outer)
        if isinstance(node, ast.SelectStmt) and node.op != SetOperation.SETOP_NONE:
            arms = [self.query(node.larg, outer), self.query(node.rarg, outer)]
            self._same(arms[0][:1] + arms[1][:1])
            return arms[0] + arms[1]
        scope, conditions, places = outer.new_child(), [getattr(node, "whereClause", None)], []
        clauses = [getattr(node, name, None) for name in ("relation", "fromClause", "usingClause")]
        for each in _flat(clauses):
            places += self._source(each, scope, conditions)
        for condition in conditions:
            self._equate(condition, scope)
        for each in _inside(node, ast.SubLink):
            places += self.query(each.subselect, scope)
        if isinstance(node, ast.InsertStmt):
            self._insert(node, places)
        else:
            self._judge(node, list(dict.fromkeys(places)), scope)
        return places

    def _judge(self, node: Any, places: list[str], scope: Scope) -> None:
        """Rules that need to know which tables have the same location."""
        if not places:
            return
        if len({self._find(each) for each in places}) > 1:
            self.found.append(f"joins {', '.join(map(_name, places))} without equating {KEY}")
        if any(place.startswith("etl.") for place in scope.maps[0].values()):
            self.found.append("joins highlevel with etl, which stays on the coordinator")
        loose = [each for each in places if self._find(each) != self._find(FIXED)]
        if getattr(node, "lockingClause", None) and loose:
            self.found.append(f"locks rows without a value for {KEY}")
        if not isinstance(node, ast.SelectStmt) and places[0] in loose and not self._is_filtered(places):
            self.found.append(f"changes {_name(places[0])} without {KEY} in WHERE")

    def _source(self, node: Any, scope: Scope, conditions: list[Any]) -> list[str]:
        """One entry of FROM: its distributed tables; those of a join with its conditions."""
        if isinstance(node, ast.JoinExpr):
            left, right = self._source(node.larg, scope, conditions), self._source(node.rarg, scope, conditions)
            conditions.append(node.quals)
            if KEY in [each.sval for each in node.usingClause or ()]:
                self._same(left[-1:] + right[:1])
            return left + right
        alias = node.alias.aliasname if getattr(node, "alias", None) else getattr(node, "relname", "")
        if isinstance(node, ast.RangeSubselect):
            places = self.query(node.subquery, scope if node.lateral else scope.parents)
            if node.lateral and places:
                self._one_location(node.subquery, scope)
        elif isinstance(node, ast.RangeVar) and node.schemaname is None:
            places = self.ctes.get(str(node.relname), [])
        elif isinstance(node, ast.RangeVar):
            place = f"{node.schemaname}.{node.relname} {node.location}"
            scope[alias] = place
            places = [place] if node.schemaname == "highlevel" and node.relname in DISTRIBUTED else []
        else:
            places = []
        scope.setdefault(alias, places[0] if places else alias)
        return places

    def _one_location(self, node: Any, outer: Scope) -> None:
        """A lateral subquery that names more than the location outside must not need rows of several."""
        own = {each.alias.aliasname if each.alias else each.relname for each in _inside(node, ast.RangeVar)}
        own |= {each.alias.aliasname for each in _inside(node, ast.RangeSubselect)}
        if not any(
            len(_path(each)) > 1 and _path(each)[0] in outer.keys() - own and _path(each)[-1] != KEY
            for each in _inside(node, ast.ColumnRef, deep=True)
        ):
            return
        lists = [node.groupClause] if node.groupClause or self._aggregates(node) else []
        lists += [node.distinctClause] if node.distinctClause else []
        lists += [each.partitionClause for each in node.windowClause or ()]
        if any(KEY not in [_path(each)[-1] for each in _inside(part or (), ast.ColumnRef)] for part in lists):
            self.found.append(f"a lateral subquery groups, or partitions a window, without {KEY}")
        if node.limitOption == LimitOption.LIMIT_OPTION_COUNT and node.limitCount is not None:
            self.found.append("a lateral subquery has LIMIT")

    def _aggregates(self, node: Any) -> bool:
        calls = _inside(node.targetList, ast.FuncCall)
        return any(_function(each) in self.functions.aggregates and each.over is None for each in calls)

    def _insert(self, node: ast.InsertStmt, places: list[str]) -> None:
        if node.selectStmt is not None:
            self.query(node.selectStmt, ChainMap())
        if places and KEY not in [column.name for column in node.cols or ()]:
            self.found.append(f"inserts into {_name(places[0])} without {KEY}")
        conflict = node.onConflictClause if places else None
        parts = (conflict.targetList or (), conflict.whereClause) if conflict else ()
        for call in _inside(parts, ast.FuncCall | ast.SQLValueFunction, deep=True):
            if isinstance(call, ast.SQLValueFunction) or _function(call) in self.functions.mutable:
                self.found.append("has a function in DO UPDATE that is not immutable")
        # The rows go to the nodes by themselves, with these parts and without the parameters.
        sent_on = (*parts, getattr(node, "returningClause", None) or ())
        if (
            getattr(node.selectStmt, "fromClause", None)
            and next(_inside(sent_on, ast.ParamRef, deep=True), None) is not None
        ):
            self.found.append("inserts what a query reads, with a parameter in DO UPDATE or RETURNING")

    def _equate(self, node: Any, scope: Scope) -> None:
        """Note what a condition, one of several with AND, says of locations."""
        if isinstance(node, ast.BoolExpr) and node.boolop == BoolExprType.AND_EXPR:
            for each in node.args or ():
                self._equate(each, scope)
        if not isinstance(node, ast.A_Expr) or (node.name or ())[-1].sval != "=":
            return
        left, right = self._place(node.lexpr, scope), self._place(node.rexpr, scope)
        if node.kind != A_Expr_Kind.AEXPR_OP:
            inside = [self._place(each, scope) for each in _inside((node.lexpr,), ast.ColumnRef)]
            self.filtered |= {each for each in inside if each is not None}
        elif left is not None and right is not None:
            self._same([left, right])
        else:
            for place, other in ((left, node.rexpr), (right, node.lexpr)):
                if place is not None and not list(_inside((other,), ast.ColumnRef | ast.SubLink)):
                    self._same([place, FIXED])

    def _place(self, node: Any, scope: Scope) -> str | None:
        """The table whose location a column is."""
        if not isinstance(node, ast.ColumnRef) or _path(node)[-1] != KEY:
            return None
        if len(_path(node)) > 1:
            return scope.get(_path(node)[-2])
        return next((each for each in scope.maps[0].values() if _name(each) in DISTRIBUTED), None)

    def _is_filtered(self, places: list[str]) -> bool:
        return any(self._find(each) == self._find(places[0]) for each in [*self.filtered, *places[1:]])

    def _find(self, place: str) -> str:
        while place in self.parents:
            place = self.parents[place]
        return place

    def _same(self, places: list[str]) -> None:
        for each in places[1:]:
            if self._find(each) != self._find(places[0]):
                self.parents[self._find(each)] = self._find(places[0])


def _inside(node: Any, kind: Any, *, deep: bool = False) -> Iterator[Any]:
    """All nodes of a kind, but for those in subqueries, unless ``deep``."""
    if isinstance(node, tuple | list):
        parts: Iterable[Any] = node
    else:
        parts = [getattr(node, name) for name in node]
    for part in parts:
        if isinstance(part, kind):
            yield part
        if isinstance(part, tuple) or (isinstance(part, ast.Node) and (deep or not isinstance(part, ast.SelectStmt))):
            yield from _inside(part, kind, deep=deep)


def _flat(clauses: Iterable[Any]) -> Iterator[Any]:
    for clause in clauses:
        yield from clause if isinstance(clause, tuple) else (clause,) if clause is not None else ()


def _path(node: ast.ColumnRef) -> list[str]:
    return [getattr(each, "sval", "*") for each in node.fields or ()]


def _function(node: ast.FuncCall) -> str:
    return str((node.funcname or ())[-1].sval)


def _name(place: str) -> str:
    return place.split(" ", 1)[0].removeprefix("highlevel.")
