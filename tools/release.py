"""Make a release: date the changelog's section, commit, tag. Nothing leaves this machine.

The tag is the version: hatch-vcs reads it when the wheel is built. Run as: make release VERSION=0.2.0
"""

import re
import subprocess
import sys
from pathlib import Path

VERSION = re.compile(r"\d+\.\d+\.\d+(rc\d+)?")
UNRELEASED = "## Unreleased\n"


def main(version: str, today: str, changelog: Path = Path("CHANGELOG.md")) -> str:
    """Release ``version``; returns what to do next.

    Raises:
        SystemExit: something is not ready, and nothing was changed.
    """
    if not VERSION.fullmatch(version):
        raise SystemExit(f"{version!r} is no version: say VERSION=0.2.0")
    if git("status", "--porcelain"):
        raise SystemExit("Commit or stash everything first.")
    if git("tag", "--list", f"v{version}"):
        raise SystemExit(f"There is a v{version} already.")
    text = changelog.read_text(encoding="utf-8")
    _, found, after = text.partition(UNRELEASED)
    notes = after.partition("\n## ")[0].strip()
    if not found or not notes:
        raise SystemExit("CHANGELOG.md has nothing under: ## Unreleased")
    changelog.write_text(text.replace(UNRELEASED, f"{UNRELEASED}\n## {version} - {today}\n", 1), encoding="utf-8")
    git("commit", "--quiet", "--message", f"Release {version}", str(changelog))
    git("tag", "--annotate", f"v{version}", "--cleanup=verbatim", "--message", f"{version}\n\n{notes}")
    return f"Tagged v{version}. Next: make dist, then: git push --follow-tags"


def git(*arguments: str) -> str:
    """Run git; returns what it printed."""
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout.strip()  # noqa: S607


if __name__ == "__main__":
    print(main(sys.argv[1], sys.argv[2]))
