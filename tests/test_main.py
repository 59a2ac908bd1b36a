"""The command ``python -m cardanalysis``."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cardanalysis import Event, Run, from_dict
from cardanalysis.__main__ import main
from cardanalysis._console import Progress
from cardanalysis.testing import FakeMessagesAPI, Reply


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_PROFILE", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two documents, one of them below another folder, and a hidden file."""
    monkeypatch.chdir(tmp_path)
    uploads = tmp_path / "uploads"
    (uploads / "more").mkdir(parents=True)
    (uploads / "brief.md").write_text(
        "# Goals\n\nThe portal must show open claims.\n\nThe portal should export them.\n"
    )
    (uploads / "more" / "notes.txt").write_text("As a clerk, I want to search claims so that I find them.\n")
    (uploads / ".hidden").write_text("Nothing must be read here.")
    return uploads


def test_it_prints_cards_and_a_summary(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Files and folders become cards in a table, with a summary that adds up; progress goes to stderr; the end is 0."""
    assert main([str(folder), "--analyzer", "outline"]) == 0
    out, err = capsys.readouterr()
    assert "priority  title" in out
    assert "show open claims" in out
    assert "brief.md, line 3" in out
    assert re.search(r"^Uploads: 2 \(2 completed\)$", out, re.MULTILINE)
    assert re.search(r"^Cards: 3$", out, re.MULTILINE)
    assert re.search(r"^Requests: 0, tokens: 0 in, 0 out, \$0\.0000$", out, re.MULTILINE)
    assert re.search(r"^Time: \d+\.\d s", out, re.MULTILINE)
    assert re.search(r"^\[2/2\] completed +\S+ \(\d cards?\)$", err, re.MULTILINE)
    assert ".hidden" not in out + err


def test_without_a_key_it_says_that_it_uses_the_rules(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The outline rules never stand in for Claude unseen."""
    assert main([str(folder)]) == 0
    assert "No API key: using the offline outline rules, not Claude" in capsys.readouterr().err


def test_with_a_key_it_uses_claude(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A key in the environment chooses Claude, and tokens and cost are in the summary."""
    with FakeMessagesAPI() as api:
        monkeypatch.setenv("ANTHROPIC_API_KEY", "test-key")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", api.base_url)
        assert main([str(folder)]) == 0
        assert len(api.requests) == 2
    out, err = capsys.readouterr()
    assert "No API key" not in err
    assert re.search(r"^Requests: 2, tokens: [\d,]+ in, [\d,]+ out, \$0\.\d+$", out, re.MULTILINE)


def test_claude_without_a_key_is_an_error_that_says_what_to_do(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It ends with 2 and names the variable and the offline alternative."""
    assert main([str(folder), "--analyzer", "claude"]) == 2
    err = capsys.readouterr().err
    assert "ANTHROPIC_API_KEY" in err
    assert "OutlineAnalyzer" in err


def test_a_failed_upload_is_named_with_its_reason(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Some failed: the end is 1, and the summary says which and why."""
    (folder / "empty.txt").write_text("")
    assert main([str(folder), "--analyzer", "outline"]) == 1
    out = capsys.readouterr().out
    assert re.search(r"^Uploads: 3 \(2 completed, 1 failed\)$", out, re.MULTILINE)
    assert re.search(r"^  failed empty.txt: it is empty.+\.$", out, re.MULTILINE)


def test_the_same_command_again_does_nothing_twice(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It resumes its run: the cards are there, and nothing is analyzed again; what failed can be retried."""
    (folder / "late.txt").write_text("")
    assert main([str(folder), "--analyzer", "outline"]) == 1
    first = capsys.readouterr()
    assert main([str(folder), "--analyzer", "outline"]) == 1
    second = capsys.readouterr()
    assert run_named_in(second.out) == run_named_in(first.out)
    assert second.out.partition("Run ")[0] == first.out.partition("Run ")[0]
    assert "completed" not in second.err
    assert "Nothing was left to do." in second.out
    assert main([str(folder), "--analyzer", "outline", "--retry-failed"]) == 1
    assert re.search(r"failed +late.txt", capsys.readouterr().err)


def run_named_in(printed: str) -> str:
    found = re.search(r"^Run (\S+):", printed, re.MULTILINE)
    assert found is not None
    return found[1]


CHANGES: dict[str, Callable[[Path], object]] = {
    "mended": lambda folder: (folder / "late.txt").write_text("The portal must show late claims.\n"),
    "removed": lambda folder: (folder / "late.txt").unlink(),
    "mended and added": lambda folder: [
        (folder / name).write_text(f"The portal must show {name}.\n") for name in ("late.txt", "new.txt")
    ],
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_other_documents_are_another_run_that_takes_over_the_rest(
    folder: Path,
    change: Callable[[Path], object],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With a file mended, added or removed a new run begins, sends nothing again, and succeeds."""
    with FakeMessagesAPI() as api:
        monkeypatch.setenv("ANTHROPIC_API_KEY", "test-key")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", api.base_url)
        (folder / "late.txt").write_text("")
        assert main([str(folder)]) == 1
        first, before = capsys.readouterr(), len(api.requests)
        assert before == 2
        change(folder)
        count = len(list(folder.rglob("[!.]*.*")))
        assert main([str(folder)]) == 0
        out, err = capsys.readouterr()
        assert len(api.requests) - before == count - 2
        assert run_named_in(out) != run_named_in(first.out)
        assert f"Uploads: {count} ({count} completed)" in out
        assert len(re.findall(r"completed .+ of an earlier run\)$", err, re.MULTILINE)) == 2
        assert main([str(folder)]) == 0
        assert run_named_in(capsys.readouterr().out) == run_named_in(out)
        assert len(api.requests) - before == count - 2


def test_the_name_of_a_run_is_made_of_the_question_and_the_contents(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Moved and renamed files are the same run; another option, another kind of document or a copy is another."""

    def name(*options: str) -> str:
        assert main([str(folder), "--analyzer", "outline", *options]) == 0
        return run_named_in(capsys.readouterr().out)

    first = name()
    (folder / "more" / "notes.txt").rename(folder / "renamed.txt")
    assert name() == first
    others = {first, name("--max-cards", "3")}
    (folder / "renamed.txt").rename(folder / "renamed.md")
    others.add(name())
    (folder / "copy.md").write_bytes((folder / "brief.md").read_bytes())
    others.add(name())
    assert len(others) == 4


def test_an_unreadable_file_counts_by_its_path(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It fails in the run, and the same command names the same run."""
    original = Path.open

    def refuse(path: Path, *arguments: Any, **options: Any) -> Any:
        if path.name == "notes.txt":
            raise PermissionError(13, "Permission denied")
        return original(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)
    names: list[str] = []
    for _ in range(2):
        assert main([str(folder), "--analyzer", "outline"]) == 1
        out = capsys.readouterr().out
        assert "failed more/notes.txt: it cannot be read (Permission denied)" in out
        names.append(run_named_in(out))
    assert names[0] == names[1]


def test_a_link_out_of_a_folder_is_not_followed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a link names outside of its folder is not read, and the summary says so."""
    (folder.parent / "other.md").write_text("The portal must stay closed.")
    (folder / "link.md").symlink_to(folder.parent / "other.md")
    assert main([str(folder), "--analyzer", "outline"]) == 1
    out = capsys.readouterr().out
    assert "Uploads: 3 (2 completed, 1 failed)" in out
    assert "failed link.md: it is a link that leads out of its folder." in out


def test_an_archive_is_read_file_by_file(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A zip archive counts for the files in it, and each card tells where in it its evidence stands."""
    shutil.make_archive(str(tmp_path / "pile"), "zip", folder)
    assert main([str(tmp_path / "pile.zip"), "--analyzer", "outline"]) == 0
    out = capsys.readouterr().out
    assert "Uploads: 2 (2 completed)" in out
    assert "pile.zip/more/notes.txt, line" in out


def test_a_document_cannot_command_the_terminal(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Control characters of a document are shown as such and not sent."""
    (folder / "evil.txt").write_text("The system must \033[2J\033[31mclear the screen.\n")
    assert main([str(folder), "--analyzer", "outline"]) == 0
    out = capsys.readouterr().out
    assert "\033" not in out
    assert "clear the screen" in out


def test_its_own_store_is_no_document(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A store in the folder that is analyzed is passed over."""
    for _ in range(2):
        assert main([str(folder), "--analyzer", "outline", "--store", str(folder / "cards.db")]) == 0
        assert "Uploads: 2 (2 completed)" in capsys.readouterr().out


def test_another_question_is_refused_unless_accepted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same run with other options names the way out."""
    common = [str(folder), "--analyzer", "outline", "--run", "mine"]
    assert main(common) == 0
    assert main([*common, "--max-cards", "3"]) == 2
    assert "--accept-changes" in capsys.readouterr().err
    assert main([*common, "--max-cards", "3", "--accept-changes"]) == 0


def test_the_run_can_be_written_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--json holds the whole run, and from_dict opens it again."""
    path = folder.parent / "out.json"
    assert main([str(folder), "--analyzer", "outline", "--json", str(path), "--run", "mine"]) == 0
    run = from_dict(Run, json.loads(path.read_text()))
    assert (run.id, len(run.items), len(run.cards)) == ("mine", 2, 3)
    assert "Written: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["uploads/nothing"], "no files"),
        (["nowhere.md"], "nowhere.md: there is no such file"),
        (["uploads", "--limit", "0", "--analyzer", "outline"], "limit must be a whole number of at least 1"),
        (["uploads", "--max-cards", "0", "--analyzer", "outline"], "max_cards"),
        (["uploads", "--store", "no/such/folder/cards.db", "--analyzer", "outline"], "cannot be opened"),
        (["uploads", "--store", "uploads/brief.md", "--analyzer", "outline"], "no SQLite database"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_cannot_be_begun_ends_with_2(
    folder: Path, arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wrong paths, numbers and stores are told in one line."""
    (folder / "nothing").mkdir()
    assert main(arguments) == 2
    assert told in capsys.readouterr().err


WRONG = [
    [],
    ["--limit", "two", "x"],
    ["x", "--analyzer", "gpt"],
    ["x", "--analyzer", "outline", "--model", "claude"],
    ["x", "--json", "no/such/folder/out.json"],
]


@pytest.mark.parametrize("arguments", WRONG, ids=str)
def test_wrong_usage_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Argparse says how it is used."""
    with pytest.raises(SystemExit) as raised:
        main(arguments)
    assert raised.value.code == 2
    assert "usage: python -m cardanalysis" in capsys.readouterr().err


@pytest.fixture
def slow_api() -> Iterator[FakeMessagesAPI]:
    with FakeMessagesAPI(latency=0.2, answer=Reply.json({"cards": []})) as api:
        yield api


def test_ctrl_c_leaves_a_store_that_the_same_command_finishes(tmp_path: Path, slow_api: FakeMessagesAPI) -> None:
    """Stopped by SIGINT it ends with 130 and says so; the same command then does only the rest."""
    for number in range(8):
        (tmp_path / f"{number}.txt").write_text(f"Document {number} must be kept.")
    environment = {**os.environ, "ANTHROPIC_API_KEY": "test-key", "ANTHROPIC_BASE_URL": slow_api.base_url}
    command = [sys.executable, "-m", "cardanalysis", str(tmp_path), "--store", str(tmp_path / ".cards.db")]

    with subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        deadline = time.monotonic() + 60
        while len(slow_api.requests) < 4:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Run the same command again" in errors
    assert "Traceback" not in errors

    before = len(slow_api.requests)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "Uploads: 8 (8 completed)" in done.stdout
    assert len(slow_api.requests) - before < 8


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["a.txt", "--store", "j.db", "--json", "j.db"], "name the same file"),
        (["a.txt", "--store", ""], "--store needs"),
        (["a.txt", "--run", ""], "--run needs"),
        ([""], "PATH is empty"),
    ],
)
def test_arguments_that_would_do_harm_are_refused(
    arguments: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is read and nothing is written for arguments that cannot be meant."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("The app must do this.")
    with pytest.raises(SystemExit) as caught:
        main([*arguments, "--analyzer", "outline"])
    assert caught.value.code == 2
    assert told in capsys.readouterr().err
    assert [each.name for each in tmp_path.iterdir()] == ["a.txt"]


@pytest.fixture
def claude(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeMessagesAPI]:
    """An API that the command finds in the environment."""
    with FakeMessagesAPI(answer=Reply.json({"cards": []})) as api:
        monkeypatch.setenv("ANTHROPIC_API_KEY", "test-key")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", api.base_url)
        yield api


def test_a_failed_request_is_told_while_it_works(
    folder: Path, claude: FakeMessagesAPI, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each with the upload, what failed and what comes next, so that a run that waits is seen to wait."""
    (folder / "more" / "notes.txt").unlink()
    claude.script(Reply.rate_limited(retry_after=0.1), Reply.error(500), Reply.error(400))
    assert main([str(folder)]) == 1
    err = capsys.readouterr().err
    told = r"""
  brief.md: attempt 1 failed \(rate_limited\), again in 0\.1 s
  brief.md: attempt 2 failed \(api_unavailable\), again in \d\.\d s
  brief.md: attempt 3 failed \(invalid_request\), not tried again
\[1/1\] failed    brief.md
"""
    assert re.search(told.strip("\n"), err)


def test_batches_are_told_while_it_works(
    folder: Path, claude: FakeMessagesAPI, capsys: pytest.CaptureFixture[str]
) -> None:
    """Their ids lead to them in the Console; how much faster than one by one says nothing where all wait at once."""
    assert main([str(folder), "--batch"]) == 0
    out, err = capsys.readouterr()
    submitted = re.search(r"^  batch (msgbatch_\w+) submitted$", err, re.MULTILINE)
    assert submitted is not None
    assert f"  batch {submitted[1]} ended: 1 succeeded\n" in err
    assert re.search(r"^Time: \d+\.\d s$", out, re.MULTILINE)


def test_a_batch_without_a_key_says_that_the_key_is_missing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And not that the rules, which nobody asked for, know no batches."""
    assert main([str(folder), "--batch"]) == 2
    assert "there is no API key. Set ANTHROPIC_API_KEY" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([str(folder), "--batch", "--analyzer", "outline"])
    assert "--batch goes with claude" in capsys.readouterr().err


def test_a_ceiling_shows_what_is_finished(
    folder: Path, claude: FakeMessagesAPI, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error names the options, the summary and the JSON file hold the rest, and with more money it goes on."""
    claude.answer = Reply.json({"cards": []}, usage={"input_tokens": 10, "output_tokens": 16_000})
    path = folder.parent / "out.json"
    common = [str(folder), "--limit", "1", "--json", str(path)]
    assert main([*common, "--max-cost", "0.3"]) == 1
    out, err = capsys.readouterr()
    assert "error: --max-cost is $0.30, of which $0.16" in err
    assert "run the same command with a higher --max-cost" in err
    assert "max_cost" not in err
    assert "Uploads: 2 (1 pending, 1 completed)" in out
    assert [str(item.status) for item in from_dict(Run, json.loads(path.read_text())).items] == ["completed", "pending"]
    assert main([*common, "--max-cost", "1"]) == 0
    assert len(claude.requests) == 2


def test_an_upload_of_which_a_part_was_read_names_the_option_that_reads_the_rest(
    folder: Path, claude: FakeMessagesAPI, capsys: pytest.CaptureFixture[str]
) -> None:
    """A higher ceiling alone would leave it as it is."""
    (folder / "more" / "notes.txt").unlink()
    (folder / "brief.md").write_text("\n\n".join(f"# Topic {n}\n\nThe app must do {n}." for n in range(20_000)))
    used = {"input_tokens": 100_000, "output_tokens": 16_000}
    claude.answer = Reply.json({"cards": []}, usage=used)
    assert main([str(folder), "--max-cost", "1.5"]) == 1
    out = capsys.readouterr().out
    assert re.search(r"^  partial brief.md: Not read: .+ a higher --max-cost\. Pass --retry-failed", out, re.MULTILINE)


def test_a_part_that_could_not_be_read_names_the_option_too(
    folder: Path, claude: FakeMessagesAPI, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the function calls retry_failed is an option here."""
    (folder / "more" / "notes.txt").unlink()
    (folder / "brief.md").write_text("\n\n".join(f"# Topic {n}\n\nThe app must do {n}." for n in range(20_000)))
    claude.script(Reply.json({"cards": []}), Reply.refusal("bio"))
    assert main([str(folder)]) == 1
    out = capsys.readouterr().out
    assert "To read the rest, pass --retry-failed." in out


def test_progress_tells_what_it_does_not_know_of_an_earlier_call() -> None:
    """A request of no upload, and a batch that was submitted before, are told all the same; control characters not."""
    stream = io.StringIO()
    progress = Progress(stream, 1)

    def tell(type: str, **data: Any) -> None:  # noqa: A002 - as events call it
        progress(Event(run_id="r", sequence=1, type=type, time=datetime.now(UTC), item_id="i", data=data))

    tell("attempt_failed", attempt=3, code="rate_limited", again=True, wait_seconds=0.0)
    tell("attempt_failed", attempt=4, code="rate_limited", again=False, wait_seconds=0.0, reason="rate_limits")
    tell("batch_ended", submission="s", counts={"succeeded": 0})
    tell("item_status", name="a\033.txt", to="failed")
    assert stream.getvalue().splitlines() == [
        "  a request: attempt 3 failed (rate_limited), again when the API takes more",
        "  a request: attempt 4 failed (rate_limited), not tried again (rate_limits)",
        "  batch of an earlier call ended",
        "[1/1] failed    a\ufffd.txt",
    ]
