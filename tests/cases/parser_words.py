"""Sentences of the parser that no user shall read."""

from __future__ import annotations

RAW = (
    "Does not validate",
    "Union subtypes",
    "Subtypes:",
    "Problem with given class_path",
    "Parser key",
    "Got value",
    "Given value",
    "Expected a",
    "Not a valid subclass",
    "Not of type",
    "Subclass types expect",
    "is not accepted",
    "does not accept",
    "Unable to load config",
    "Unexpected",
    "Problems parsing",
    "<class '",
    "NoneType",
    "Namespace",
    "dot import path",
    "Import path",
    "expected one argument",
    "unrecognized arguments",
    "the following arguments are required",
    "invalid choice",
    "invalid int value",
    "invalid float value",
    "Path is not",
    "Path does not",
    "not among choices",
    "did not find expected",
    "Traceback",
    "jsonargparse",
    "object at 0x",
)


def is_ours(message: str) -> bool:
    """Whether a message has none of them."""
    return not any(words in message for words in RAW)
