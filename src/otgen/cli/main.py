"""The entry point: finds the sub-command, runs it, turns errors into one line and an exit code."""

from __future__ import annotations

import contextlib
import importlib
import os
import shlex
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

from otgen.cli.printable import let_anything_be_printed, one_line, show_traceback
from otgen.errors import suggestion
from otgen.own_modules import ForeignClass, only_from

# name -> (module, one line). The modules are imported only when they are called.
COMMANDS = {
    "train": ("otgen.cli.train", "train a generator from a recipe, flags and files"),
    "sample": ("otgen.cli.sample", "draw samples from a run: pictures, an array, rows of a table"),
    "eval": ("otgen.cli.evaluate", "evaluate a run's generator"),
    "reproduce": ("otgen.cli.reproduce", "train, evaluate and draw a figure of a paper, and judge its claims"),
    "ssim": ("otgen.cli.ssim", "how much the generator's weights still move around the end of a run"),
    "verify": ("otgen.cli.verify", "check what the papers claim, each theorem on random instances"),
    "export": ("otgen.cli.export", "write a run's generator as a file that needs no otgen: .pt2 or .onnx"),
    "list": ("otgen.cli.listing", "list recipes and the components a configuration can name"),
    "solve": ("otgen.cli.solve", "the transport value between two arrays, with its certified interval"),
    "crosscheck": ("otgen.cli.crosscheck", "the same problem solved by other libraries: are they in our interval?"),
}

# What others call it.
_ALSO = {"resume": "train --resume --out RUN", "continue": "train --resume --out RUN"}
_ALSO |= {"generate": "sample", "fit": "train"}

# The commands that can load classes of the user's, from --plugins; and those that find them in the working directory
# too, when the words of the command name one.
OWN_MODULES = ("train", "sample", "eval", "ssim", "export", "solve", "crosscheck")
OWN_MODULES_BESIDE = ("train", "solve")

EXIT_ERROR = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
# What a shell says of a process that SIGPIPE ended.
EXIT_PIPE = 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code, 0 only on success."""
    if argv is None:
        _leave_working_directory()
        let_anything_be_printed()
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
        meant = f"; did you mean {_ALSO[name]!r}?" if name in _ALSO else suggestion(name, COMMANDS)
        hint = meant or "; see otgen --help"
        print(one_line(f"otgen: there is no command {name!r}{hint}"), file=sys.stderr)
        return EXIT_USAGE
    try:
        with _short_warnings(name), _own_modules(name, rest):
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
            sys.excepthook = show_traceback
            raise
        return _told(name, rest, error)
    return code


def _leave_working_directory() -> None:
    """Take the working directory from the front of ``sys.path``, where ``python -m`` and ``-c`` put it.

    A numpy.py that lies there would be imported in place of the library. Where the user has put it on the path by
    name, it stays.
    """
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    with contextlib.suppress(OSError):
        here = os.path.realpath(os.getcwd())
        named = any(folder and os.path.realpath(folder) == here for folder in given)
        # This package may itself be imported from there.
        home = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
        if not named and home != here:
            sys.path[:] = [entry for entry in sys.path if entry and os.path.realpath(entry) != here]


@contextlib.contextmanager
def _own_modules(name: str, words: Sequence[str]) -> Iterator[None]:
    """What the command may import of the user's: see :mod:`otgen.own_modules`."""
    folder, beside = None, None
    with contextlib.suppress(OSError):  # the working directory may be gone
        beside = Path.cwd() if name in OWN_MODULES_BESIDE else None
    if name in OWN_MODULES and (given := _plugins(words)) is not None:
        folder = Path(os.path.abspath(given))
        if not folder.is_dir():
            from otgen.cli.usage import UsageError

            raise UsageError(f"--plugins must be a folder of modules, and {given!r} is none")
    with only_from(folder, beside):
        yield


def _plugins(words: Sequence[str]) -> str | None:
    """The value of ``--plugins``; that none is given where one is needed is for the parser of the command to say."""
    found = None
    for word, following in zip(words, [*words[1:], None], strict=False):
        flag, equals, value = word.partition("=")
        if flag == "--plugins":
            found = value if equals else following
    return found


@contextlib.contextmanager
def _short_warnings(command: str) -> Iterator[None]:
    """A warning is a line of the command's, like an error: where in the code it arose is nothing to its user.

    The same line is told once: data that are read again for the evaluation have nothing new to say.
    """
    before, told = warnings.formatwarning, set[str]()

    def short(message: Warning | str, category: type[Warning], *where: object, **line: object) -> str:
        text = f"otgen {command}: {category.__name__}: {one_line(message)}\n"
        if text in told:
            return ""
        told.add(text)
        return text

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


def _told(command: str, words: Sequence[str], error: Exception) -> int:
    """Tell an error in one line; the exit code."""
    from otgen.cli.usage import UsageError
    from otgen.errors import OtgenError

    text = " ".join(str(error).split()) or type(error).__name__
    if not isinstance(error, OtgenError):
        # An error that nobody meant to raise: its type is half of what it says.
        text = f"{type(error).__name__}: {text}; run with --debug to see where"
    elif isinstance(error, ForeignClass) and command in OWN_MODULES and _plugins(words) is None:
        whole = shlex.join(["otgen", command, *words])
        text = f"{text}; if you trust that module, name the folder DIR that it is in: {whole} --plugins DIR"
    print(f"otgen {command}: {one_line(text)}", file=sys.stderr)
    return EXIT_USAGE if isinstance(error, UsageError) else EXIT_ERROR


if __name__ == "__main__":
    sys.exit(main())
