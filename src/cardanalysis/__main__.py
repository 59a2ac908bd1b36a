"""``python -m cardanalysis PATH…``: analyze files, folders and zip archives, and print their cards."""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import shutil
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import anyio
from anyio import to_thread

from . import (
    Analyzer,
    CardAnalysisError,
    ConfigurationError,
    DocumentError,
    OutlineAnalyzer,
    Run,
    RunStatus,
    RunStopped,
    SQLiteStore,
    Upload,
    __version__,
    analyze_cards,
    load_run,
    to_dict,
)
from ._console import Progress, cards_table, in_flags, summary

_EXAMPLE = "example: python -m cardanalysis brief.md interviews/ --store cards.db --limit 4"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: Those behind the program's name; None for the process's own.

    Returns:
        0 if every upload has its cards, 1 if some do not, 2 after an error that stopped it, 130 after Ctrl-C.
    """
    options = _options(arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what a terminal cannot show is no reason to fail
            stream.reconfigure(errors="replace")
    try:
        run = anyio.run(_analyze, options)
    except CardAnalysisError as error:
        print(f"error: {in_flags(str(error)) if isinstance(error, ConfigurationError) else error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped. Run the same command again to go on where it stopped.", file=sys.stderr)
        return 130
    try:
        _print(run, options)
    except OSError as error:
        print(f"error: the results are in {options.store}, but could not be written: {error}", file=sys.stderr)
        return 2
    return 0 if run.status is RunStatus.SUCCEEDED else 1


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.model is not None and options.analyzer == "outline":
        parser.error("--model goes with claude, not with the outline rules")
    if options.batch and options.analyzer == "outline":
        parser.error("--batch goes with claude, not with the outline rules")
    if not options.store.name:
        parser.error("--store needs the name of a file")
    if options.run == "":
        parser.error("--run needs a name")
    if "" in options.paths:
        parser.error("a PATH is empty; give . for this folder")
    options.paths = [Path(path) for path in options.paths]
    if options.json is not None and options.json.resolve() == options.store.resolve():
        parser.error("--json and --store name the same file")
    if options.json is not None and (options.json.is_dir() or not options.json.parent.is_dir()):
        parser.error(f"--json: no file can be written at {str(options.json)!r}")
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m cardanalysis",
        description="Turn business documents into requirement cards. The same command again goes on where it stopped.",
        epilog=_EXAMPLE,
    )
    parser.add_argument("paths", nargs="+", metavar="PATH", help="a file, or a folder or zip archive with files")
    parser.add_argument(
        "--store", type=Path, default=Path("cards.db"), metavar="FILE", help="SQLite file (default: cards.db)"
    )
    parser.add_argument("--limit", type=int, default=2, help="uploads in work at once (default: 2)")
    parser.add_argument("--analyzer", choices=("claude", "outline"), help="default: claude if there is an API key")
    parser.add_argument("--model", help="Claude model (default: a current mid-priced one)")
    parser.add_argument("--max-cards", type=int, default=20, metavar="N", help="cards per upload at most (default: 20)")
    parser.add_argument("--max-cost", type=float, metavar="USD", help="dollars that the run may cost (default: any)")
    parser.add_argument("--batch", action="store_true", help="at half the price, in up to a day")
    parser.add_argument(
        "--run", metavar="ID", help="name of the run (default: made from the question and the documents)"
    )
    parser.add_argument("--retry-failed", action="store_true", help="do failed uploads again")
    parser.add_argument("--accept-changes", action="store_true", help="resume although something else is asked")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the whole run as JSON")
    parser.add_argument("--version", action="version", version=f"cardanalysis {__version__}")
    return parser


async def _analyze(options: argparse.Namespace) -> Run:
    own = {options.store.with_name(options.store.name + ending).resolve() for ending in ("", "-wal", "-shm")}
    uploads = await to_thread.run_sync(lambda: list(_uploads(options.paths, own)))
    if not uploads:
        raise ConfigurationError("There are no files in the folders given.")
    analyzer = _analyzer(options)
    run_id = options.run or await to_thread.run_sync(_run_id, options, analyzer.name, uploads)
    async with SQLiteStore(options.store) as store:
        try:
            return await analyze_cards(
                uploads,
                store,
                options.limit,
                analyzer=analyzer,
                run_id=run_id,
                on_event=Progress(sys.stderr, len(uploads)),
                max_cards=options.max_cards,
                max_cost=options.max_cost,
                mode="batch" if options.batch else "direct",
                retry_failed=options.retry_failed,
                reuse=True,
                accept_changes=options.accept_changes,
            )
        except RunStopped as error:  # what is finished by then is worth seeing
            print(f"error: {in_flags(str(error))}", file=sys.stderr)
            return await load_run(store, run_id)


def _uploads(paths: Sequence[Path], own: Collection[Path]) -> Iterator[Upload]:
    """An upload of each file, and of each file in a folder or archive, but for the store itself."""
    for path in paths:
        if path.is_dir():
            found = Upload.from_folder(path)
            yield from (upload for upload in found if upload.path is None or upload.path.resolve() not in own)
        elif path.suffix.lower() == ".zip":
            yield from Upload.from_zip(path)
        elif path.resolve() not in own:
            yield Upload.from_path(path)


def _analyzer(options: argparse.Namespace) -> Analyzer:
    has_key = any(os.environ.get(name) for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_PROFILE"))
    if options.analyzer == "claude" or (options.analyzer is None and has_key):
        from . import ClaudeAnalyzer  # imports the SDK, which the rules can do without

        return ClaudeAnalyzer(model=options.model)
    if options.batch:
        raise ConfigurationError(
            "--batch needs Claude, and there is no API key. Set ANTHROPIC_API_KEY, or leave --batch out.",
            code="no_api_key",
        )
    if options.analyzer is None:
        print(
            "No API key: using the offline outline rules, not Claude. Set ANTHROPIC_API_KEY to use Claude, "
            "or pass --analyzer outline to choose the rules.",
            file=sys.stderr,
        )
    return OutlineAnalyzer()


def _run_id(options: argparse.Namespace, name: str, uploads: Sequence[Upload]) -> str:
    """The same for the same question about the same documents, so that it resumes, and another for anything else."""
    asked = [name, options.model, options.max_cards, sorted(_content_of(upload) for upload in uploads)]
    return f"{name}-{hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:12]}"


def _content_of(upload: Upload) -> list[str]:
    try:
        return [upload.id, upload.media_type or ""]
    except DocumentError:  # it fails in the run, which says why
        return ["unreadable", str(upload.path)]


def _print(run: Run, options: argparse.Namespace) -> None:
    names = {item.id: item.name for item in run.items}
    print(cards_table(run.cards, names, width=max(40, shutil.get_terminal_size((100, 24)).columns)))
    print()
    print(summary(run, compare=not options.batch))
    if options.json is not None:
        text = json.dumps(to_dict(run), ensure_ascii=False, indent=2)
        options.json.write_text(f"{text}\n", encoding="utf-8")
        print(f"Written: {options.json}")


if __name__ == "__main__":
    sys.exit(main())
