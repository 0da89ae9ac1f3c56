from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gway.errors import GwayError, UnknownName
from gway.projects import cdv

texts = st.text(alphabet=st.characters(exclude_categories=["Cs"]))
names = texts.filter(bool)


@pytest.fixture
def table(tmp_path):
    def write(text, encoding="utf-8"):
        path = tmp_path / "tags.cdv"
        path.write_bytes(text.encode(encoding))
        return path

    return write


def test_a_line_is_an_id_and_its_fields(table):
    path = table("# tags\nA1:allowed=yes:user=Ada%20L.\n\nB%3A2:\n".replace(":\n", "\n"))
    assert cdv.load(path) == {"A1": {"allowed": "yes", "user": "Ada L."}, "B:2": {}}


def test_values_may_hold_everything_when_encoded(table):
    assert cdv.load(table("A:x=a%3Ab%3Dc%0Ad\n")) == {"A": {"x": "a:b=c\nd"}}
    assert cdv.load(table("A:x=a=b\n")) == {"A": {"x": "a=b"}}


@pytest.mark.parametrize("text", ["\ufeffA:x=1\n", "A:x=1\r\n", "  A : x = 1  "])
def test_marks_spaces_and_line_ends_of_editors_do_no_harm(table, text):
    assert cdv.load(table(text)) == {"A": {"x": "1"}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A:x=1\nA:x=2\n", ":2: the id 'A' is there twice"),
        ("# ok\nA:x\n", ":2: 'x' is not key=value"),
        ("A:=1\n", ":1: '=1' is not key=value"),
        (":x=1\n", ":1: the id is missing"),
        ("A:x=1:x=2\n", ":1: the key 'x' is there twice"),
        ("A:x=%ff\n", ":1: '%ff' does not decode to UTF-8"),
    ],
)
def test_a_bad_line_is_named(table, text, message):
    path = table(text)
    with pytest.raises(GwayError) as caught:
        cdv.load(path)
    assert caught.value.message == f"{path}{message}"


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(GwayError, match=r"none\.cdv cannot be read"):
        cdv.load(tmp_path / "none.cdv")


def test_a_record_is_found_in_any_case_but_exactly_first(table):
    path = table("a1:n=1\nA1:n=2\nB:n=3\n")
    assert cdv.find(path, "A1") == {"n": "2"}
    assert cdv.find(path, "b") == {"n": "3"}


def test_a_record_that_is_missing_names_the_closest(table):
    with pytest.raises(UnknownName, match="has no record 'CHARGE2'") as caught:
        cdv.find(table("CHARGE1:\n".replace(":", "")), "CHARGE2")
    assert caught.value.exit_code == 1
    assert caught.value.hint == "did you mean 'CHARGE1'?"


@given(records=st.dictionaries(names, st.dictionaries(names, texts), max_size=4))
def test_what_is_saved_is_loaded_again(tmp_path_factory, records):
    path = tmp_path_factory.mktemp("cdv") / "x.cdv"
    cdv.save(path, records)
    assert cdv.load(path) == records
    assert len(path.read_text().splitlines()) == len(records)


def test_saving_replaces_the_file_whole_or_not_at_all(table):
    path = table("A:x=1\n")
    with pytest.raises(GwayError, match="without an id"):
        cdv.save(path, {"B": {}, "": {}})
    assert path.read_text() == "A:x=1\n"
    assert [each.name for each in path.parent.iterdir()] == ["tags.cdv"]


def test_verbs_of_the_command_line_read_it(run, table, workspace):
    path = table("A1:user=Ada\n")
    assert run("cdv", "find", str(path), "a1").stdout == "user  Ada\n"
    assert run("cdv", "find", str(path), "zz").code == 1
