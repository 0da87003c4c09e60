"""Every block of code in the documentation runs, or says why it does not.

``<!-- not run: reason -->`` above a block leaves it out. ``<!-- file: name -->`` writes
it to a file instead, for a later block to use. The blocks of a page run in order in
one shell, beside a Sijil that runs. A block that ``shows: text`` must print the text.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.docs.pages import CODE, blocks, name, pages
from tests.running import REPOSITORY, Running

PAGE_TIMEOUT_S = 240
_NO_PLACE = {".git", ".sijil", ".venv"}


def test_a_block_that_is_not_run_says_why() -> None:
    for page in pages():
        for block in blocks(page):
            if block.language == "sql":
                assert "not run" in block.markers, f"{name(page)}:{block.line}"
            if "not run" in block.markers:
                assert len(block.markers["not run"].split()) >= 3
                assert block.language in CODE


def runnable() -> list[Path]:
    return [
        page
        for page in pages()
        if any(
            block.language in CODE and "not run" not in block.markers
            for block in blocks(page)
        )
    ]


def shell_script(page: Path) -> str:
    """The page's blocks as one script.

    Python blocks are one session until a shell block comes in between.
    """
    parts = ["set -euo pipefail"]
    session: list[str] = []
    for number, block in enumerate(blocks(page)):
        is_file = "file" in block.markers
        if "not run" in block.markers or not (is_file or block.language in CODE):
            continue
        title = f"{name(page)}:{block.line}"
        if is_file:
            parts.append(written(block.markers["file"], block.code, number))
        elif block.language == "python":
            session.append(f"print({f'== {title}'!r})\n{block.code}")
        else:
            parts += [*ended(session, number), f"echo '== {title}'", block.code]
            session = []
    return "\n".join([*parts, *ended(session, len(parts))])


def written(target: str, text: str, number: int) -> str:
    """The shell command that writes a file."""
    return f"cat > {target} <<'END_OF_BLOCK_{number}'\n{text}END_OF_BLOCK_{number}"


def ended(session: list[str], number: int) -> list[str]:
    """The shell commands that run a session of Python, if there is one."""
    if not session:
        return []
    target = f"session-{number}.py"
    return [written(target, "".join(session), number), f"python {target}"]


@pytest.mark.long
@pytest.mark.parametrize("page", runnable(), ids=name)
def test_the_blocks_of_a_page_run(page: Path, running: Running, tmp_path: Path) -> None:
    # The page's own folder: it looks like the clone, and what a block writes stays.
    for entry in REPOSITORY.iterdir():
        if entry.name not in _NO_PLACE:
            (tmp_path / entry.name).symlink_to(entry)
    (tmp_path / ".sijil").symlink_to(running.home)
    done = subprocess.run(
        ["bash", "-c", shell_script(page)],
        cwd=tmp_path,
        env={**running.environment, "PYTHONPATH": ""},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PAGE_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    for block in blocks(page):
        if "shows" in block.markers:
            assert block.markers["shows"] in done.stdout, f"{name(page)}:{block.line}"
