"""The entry point: finds the sub-command, runs it, turns errors into one line and an exit code."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import warnings
from collections.abc import Iterator, Sequence

from otgen.errors import suggestion

# name -> (module, one line). The modules are imported only when they are called.
COMMANDS = {
    "train": ("otgen.cli.train", "train a generator from a recipe, flags and files"),
    "sample": ("otgen.cli.sample", "draw samples from a run, as a picture or an array"),
    "eval": ("otgen.cli.evaluate", "evaluate a run's generator"),
    "reproduce": ("otgen.cli.reproduce", "train, evaluate and draw a figure of a paper, and judge its claims"),
    "ssim": ("otgen.cli.ssim", "how much the generator's weights still move around the end of a run"),
    "verify": ("otgen.cli.verify", "check what the papers claim, each theorem on random instances"),
    "list": ("otgen.cli.listing", "list recipes and the components a configuration can name"),
    "solve": ("otgen.cli.solve", "the transport value between two arrays, with its certified interval"),
    "crosscheck": ("otgen.cli.crosscheck", "the same problem solved by other libraries: are they in our interval?"),
}

EXIT_ERROR = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
# What a shell says of a process that SIGPIPE ended.
EXIT_PIPE = 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code, 0 only on success."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    arguments = [a for a in arguments if a != "--debug"]
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_help())
        return 0 if arguments else EXIT_USAGE
    if arguments[0] == "--version":
        from otgen import __version__

        print(f"otgen {__version__}")
        return 0
    name, *rest = arguments
    if name not in COMMANDS:
        print(
            f"otgen: there is no command {name!r}{suggestion(name, COMMANDS) or '; see otgen --help'}", file=sys.stderr
        )
        return EXIT_USAGE
    # Components of the user's own, in modules of the working directory, can be named by every command.
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        with _short_warnings(name):
            code: int = importlib.import_module(COMMANDS[name][0]).run(rest)
            sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read has what it wanted, as `head` does; nor must the interpreter's last flush complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_PIPE
    except KeyboardInterrupt:
        print("otgen: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else EXIT_USAGE
    except Exception as error:
        if debug:
            raise
        return _told(name, error)
    return code


@contextlib.contextmanager
def _short_warnings(command: str) -> Iterator[None]:
    """A warning is a line of the command's, like an error: where in the code it arose is nothing to its user."""
    before = warnings.formatwarning

    def short(message: Warning | str, category: type[Warning], *where: object, **line: object) -> str:
        return f"otgen {command}: {category.__name__}: {message}\n"

    warnings.formatwarning = short
    try:
        yield
    finally:
        warnings.formatwarning = before


def _help() -> str:
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:<{width}}  {summary}" for name, (_, summary) in COMMANDS.items())
    return (
        "usage: otgen COMMAND ...\n\n"
        "Generative models trained with optimal transport, every OT value inside a certified interval.\n\n"
        f"{commands}\n\n"
        "otgen COMMAND --help says more. --debug shows tracebacks, --version the version."
    )


def _told(command: str, error: Exception) -> int:
    """Tell an error in one line; the exit code."""
    from otgen.cli.usage import UsageError
    from otgen.errors import OtgenError

    text = " ".join(str(error).split()) or type(error).__name__
    if not isinstance(error, OtgenError):
        # An error that nobody meant to raise: its type is half of what it says.
        text = f"{type(error).__name__}: {text}; run with --debug to see where"
    print(f"otgen {command}: {text}", file=sys.stderr)
    return EXIT_USAGE if isinstance(error, UsageError) else EXIT_ERROR


if __name__ == "__main__":
    sys.exit(main())
