"""Which metrics the dashboard and the rules ask for, and whether anybody gives them.

`metrics.py GIVEN... -- ASKING...`: GIVEN are texts of exporters (or plain names, one a line), ASKING the dashboard's
JSON and the rules' YAML. Prints each name that nobody gives, and where it is asked for; and then, of a dashboard, its
uid, refresh and number of panels.
"""

import json
import re
import sys

# What PromQL has beside metric names.
WORDS = set("""sum max min avg count rate increase changes by on ignoring group_right group_left without and or unless bool
histogram_quantile vector time offset humanize""".split())


def names(expression: str) -> set[str]:
    """Names of the metrics that a query reads."""
    given = set()
    for matcher in re.findall(r'__name__=~"([^"]*)"', expression):
        given |= set(matcher.split("|"))
    bare = re.sub(r'"[^"]*"', "", expression)  # strings
    bare = re.sub(r"\{[^}]*\}", "", bare)  # matchers
    bare = re.sub(r"\[[^\]]*\]", "", bare)  # ranges
    bare = re.sub(r"\b(by|on|ignoring|without|group_left|group_right)\s*\([^)]*\)", "", bare)  # labels
    return given | {name for name in re.findall(r"[a-zA-Z_:][a-zA-Z0-9_:]*", bare) if name not in WORDS}


def queries(path: str) -> list[tuple[str, str]]:
    """(where, query) of a dashboard or of rules."""
    text = open(path, encoding="utf-8").read()
    if path.endswith(".json"):
        board = json.loads(text)
        found = [(panel["title"], target["expr"]) for panel in board["panels"] for target in panel.get("targets", [])]
        return found + [(note["name"], note["expr"]) for note in board["annotations"]["list"]]
    # Rules: one line, or the indented lines after "|".
    return [(path, query) for query in re.findall(r"expr: (?:\|\n((?:          .*\n)+)|(.*))", text) for query in query if query]


def main() -> None:
    """Compares."""
    split = sys.argv.index("--")
    given = {"ALERTS", "up"}
    for path in sys.argv[1:split]:
        for line in open(path, encoding="utf-8"):
            if found := re.match(r"([a-zA-Z_:][a-zA-Z0-9_:]*)", line):
                given.add(found[1])
    for path in sys.argv[split + 1 :]:
        given |= set(re.findall(r"- record: (\S+)", open(path, encoding="utf-8").read()))
    for path in sys.argv[split + 1 :]:
        for where, query in queries(path):
            for name in sorted(names(query) - given):
                print(f"nobody gives {name}, asked for by {where}")
    for path in sys.argv[split + 1 :]:
        if path.endswith(".json"):
            board = json.loads(open(path, encoding="utf-8").read())
            panels = [panel for panel in board["panels"] if panel["type"] != "row"]
            assert all(panel["targets"] and panel["datasource"]["uid"] == "prometheus" for panel in panels)
            ids = [panel["id"] for panel in board["panels"]]
            assert len(ids) == len(set(ids)), "two panels of one id"
            print(board["uid"], board["refresh"], len(panels))


if __name__ == "__main__":
    main()
