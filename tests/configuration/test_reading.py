"""What the reader takes and what it refuses (M7): no file may surprise, exhaust or execute anything."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway_project.configuration.errors import ConfigurationError
from gateway_project.configuration.nodes import Mapping, Node, Scalar
from gateway_project.configuration.reader import MAX_BYTES, read

Write = Callable[..., Path]


def plain(node: Node) -> object:
    """Return a tree as plain values."""
    if isinstance(node, Scalar):
        return node.text
    if isinstance(node, Mapping):
        return {name: plain(entry.value) for name, entry in node.entries.items()}
    return [plain(item) for item in node.items]


def refusal(path: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read(path, {})
    return str(caught.value)


def test_values_stay_text_and_keep_their_lines(write: Write) -> None:
    source = read(write("a: yes\nb:\n  c: 012\n  d: 2027-01-01\n  e: 'null'\n"), {})
    assert plain(source.root) == {"a": "yes", "b": {"c": "012", "d": "2027-01-01", "e": "null"}}
    nested = source.root.entries["b"].value
    assert isinstance(nested, Mapping)
    assert nested.entries["d"].line == 4


def test_a_small_alias_and_a_merge_are_filled_in(write: Write) -> None:
    source = read(write("a: &x {p: 1, q: 2}\nb: *x\nc: {<<: *x, q: 3}\nd: {<<: [*x, {r: 4}]}\n"), {})
    assert plain(source.root) == {
        "a": {"p": "1", "q": "2"},
        "b": {"p": "1", "q": "2"},
        "c": {"p": "1", "q": "3"},
        "d": {"p": "1", "q": "2", "r": "4"},
    }


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system", "!!python/name:os.system", "!secret", "!!binary"])
def test_every_tag_is_refused(write: Write, tag: str) -> None:
    assert "line 2: b: tags" in refusal(write(f"a: 1\nb: {tag} x\n"))


def test_a_file_of_a_hundred_megabytes_is_refused_without_being_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.yaml"
    with path.open("wb") as stream:
        stream.truncate(100 << 20)
    began = time.process_time()
    assert "larger than 16 MiB" in refusal(path)
    assert time.process_time() - began < 1


def test_the_limit_counts_to_the_byte(write: Write) -> None:
    text = b"a: 1\n#"
    assert read(write(text + b"x" * (MAX_BYTES - len(text))), {}).name == "gateway.yaml"
    assert "larger than" in refusal(write(text + b"x" * (MAX_BYTES - len(text) + 1)))


@pytest.mark.parametrize(
    ("opening", "name"), [("a: " + "[" * 100_000, "x.yaml"), ("[" * 100_000, "x.json"), ("{a: " * 40, "y.yaml")]
)
def test_deep_nesting_is_refused(write: Write, opening: str, name: str) -> None:
    assert "nested more than 32 levels deep" in refusal(write(opening, name))


def test_depth_made_of_aliases_of_aliases_is_refused(write: Write) -> None:
    lines = ["x-0: &x0 [1]"]
    lines += [f"x-{n}: &x{n} {'[' * 20}*x{n - 1}{']' * 20}" for n in range(1, 6)]
    assert "nested more than 32 levels deep" in refusal_after_expansion(write("\n".join(lines)))


def refusal_after_expansion(path: Path) -> str:
    problems = read(path, {}).problems
    return "\n".join(str(problem) for problem in problems)


def test_an_alias_bomb_is_refused_at_once(write: Write) -> None:
    lines = ['a0: &a0 ["x","x","x","x","x","x","x","x","x"]']
    lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    began = time.process_time()
    assert "repeat more than 50000 values" in refusal(write("\n".join(lines)))
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "the file is empty"),
        (b"# nothing\n", "the file is empty"),
        (b"{}", "the file is empty"),
        (b"---\n", "must be a mapping"),
        (b"- a\n", "must be a mapping"),
        (b"a: 1\nb: \xff\n", "line 2: this is not UTF-8 text"),
        (b"a: \x00\n", "not YAML"),
        (b"? [a]\n: 1\n", "a list or a mapping cannot be a key"),
        (b"a: *nothing\n", "stands for nothing above it"),
        (b"<<: 1\n", "takes mappings only"),
    ],
)
def test_what_is_no_configuration_is_refused(write: Write, raw: bytes, message: str) -> None:
    assert message in refusal(write(raw))


def test_a_directory_or_a_missing_file_is_named(tmp_path: Path) -> None:
    assert refusal(tmp_path).endswith("cannot be read: Is a directory")
    assert refusal(tmp_path / "none.yaml").endswith("cannot be read: No such file or directory")


def test_every_repeated_key_is_shown_with_both_lines(write: Write) -> None:
    source = read(write("a: {b: 1, b: 2}\nc: 1\nc: 2\n"), {})
    assert [str(problem) for problem in source.problems] == [
        "line 1: a.b: stands here a second time (first: line 1)",
        "line 3: c: stands here a second time (first: line 2)",
    ]


def test_json_repeats_are_found_too(write: Write) -> None:
    source = read(write('{"a": 1,\n "a": 2}', "x.json"), {})
    assert [str(problem) for problem in source.problems] == ["line 2: a: stands here a second time (first: line 1)"]


def test_json_takes_tabs_pairs_of_surrogates_and_escapes(write: Write) -> None:
    text = '{\n\t"a": "\\ud83d\\ude00 \\u00e9 \\/ \\\\ud83d",\t"b": [1, true, null]\n}'
    assert plain(read(write(text, "x.json"), {}).root) == {"a": "😀 é / \\ud83d", "b": ["1", "true", "null"]}


def test_json_that_is_only_yaml_is_refused_with_its_line(write: Write) -> None:
    assert "line 2: not JSON" in refusal(write('{"a": 1,\n b: 2}', "x.json"))


def test_a_lone_surrogate_is_refused(write: Write) -> None:
    assert "not YAML" in refusal(write('{"a": "\\ud83d"}', "x.json"))


def test_a_syntax_error_does_not_quote_the_line_that_holds_a_secret(write: Write) -> None:
    message = refusal(write('auth:\n  api_keys:\n    "sk-very-secret-0123456789": {user_id: [}\n'))
    assert "not YAML" in message
    assert "line 3" in message
    assert "very-secret" not in message
