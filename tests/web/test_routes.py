"""The site finds the function for an address and gives it what the request says."""

from __future__ import annotations

import re
from typing import Any

import pytest

from gway.errors import UnknownName, UsageError

HELLO = '''
from typing import Literal
from gway import Page, access
from gway.web.page import PageMaker

PAGES = PageMaker(__file__)

def greet(name: str) -> str:
    """Greet somebody."""
    return f"Hello {name}"

def view_greet(name: str = "you", times: int = 1):
    return PAGES("greet", title="Greeting", data={"name": name, "times": times})

def view_plain():
    return "<b>not markup</b>"

def view_table(size: Literal["s", "m"] = "s"):
    return [{"id": 1, "size": size}, {"id": 2, "size": size}]

def view_post_order(item: str, count: int = 1):
    return Page("", title=f"{item} {count}")

def view_get_order():
    return "order form"

def view_broken():
    raise RuntimeError("secret detail")

def render_clock():
    return Page("<p>tick</p>", title="Clock")

def api_greet(name: str, loud: bool = False) -> dict[str, str]:
    """Say hello."""
    return {"said": greet(name).upper() if loud else greet(name)}

@access(role="operator", method="POST")
def api_send(payload: dict, wait_s: float = 1.0):
    return {"payload": payload, "wait_s": wait_s}

def api_put_tag(tag: str):
    return tag

def api_delete_tag(tag: str):
    return None

def api_numbers():
    yield from range(3)

async def api_later():
    return "done"

def _hidden():
    return "no"
'''


@pytest.fixture
def hello(project: Any, site: Any) -> Any:
    project("hello", HELLO, views={"greet": "<p>{{name}} x {{times}}</p>"})
    return site.mount("hello")


def test_a_view_is_a_page_in_the_layout(hello: Any, client: Any) -> None:
    answer = client.get("/hello/greet?name=Ada&times=2")
    assert answer.status == 200
    assert "<p>Ada x 2</p>" in answer.text
    assert "<title>Greeting · GWAY</title>" in answer.text


def test_names_are_reached_with_dashes_and_with_underscores(project: Any, site: Any, client: Any):
    project("my_thing", "def view_long_name(): return 'here'")
    site.mount("my_thing")
    assert "here" in client.get("/my-thing/long-name").text
    assert "here" in client.get("/my_thing/long_name").text


def test_request_values_are_escaped_in_templates(hello: Any, client: Any) -> None:
    text = client.get("/hello/greet?name=%3Cscript%3E").text
    assert "<p>&lt;script&gt; x 1</p>" in text


def test_text_that_a_view_returns_is_no_markup(hello: Any, client: Any) -> None:
    assert "&lt;b&gt;not markup&lt;/b&gt;" in client.get("/hello/plain").text


def test_a_value_that_does_not_fit_is_a_400_page_that_names_it(hello: Any, client: Any) -> None:
    answer = client.get("/hello/greet?times=many")
    assert answer.status == 400
    assert "Times: &#039;many&#039; is not an int." in answer.text


def test_a_choice_that_is_none_is_a_400_page(hello: Any, client: Any) -> None:
    answer = client.get("/hello/table?size=xl")
    assert answer.status == 400
    assert "One of s, m." in answer.text


def test_a_page_ignores_values_that_it_does_not_declare(hello: Any, client: Any) -> None:
    assert client.get("/hello/greet?utm_source=x").status == 200


def test_an_empty_field_of_a_form_leaves_the_default(hello: Any, client: Any) -> None:
    assert "you x 1" in client.get("/hello/greet?times=").text.replace("\n", " ")


def test_the_same_value_twice_is_a_400(hello: Any, client: Any) -> None:
    assert "one value is wanted, 2 were given" in client.get("/hello/greet?times=1&times=2").text


def test_a_page_has_a_json_twin(hello: Any, client: Any) -> None:
    answer = client.get("/hello/greet.json?name=Ada")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json == {"name": "Ada", "times": 1}


def test_a_page_has_a_csv_twin_with_a_file_name(hello: Any, client: Any) -> None:
    answer = client.get("/hello/table.csv?size=m")
    assert answer.text == "id,size\r\n1,m\r\n2,m\r\n"
    assert answer.headers["content-disposition"] == 'attachment; filename="table.csv"'


def test_several_views_stand_on_one_page_with_one_set_of_values(hello: Any, client: Any) -> None:
    text = client.get("/hello/greet+plain?name=Ada").text
    assert "Ada x 1" in text
    assert "not markup" in text
    assert client.get("/hello/greet+plain.json").json["plain"] == {"value": "<b>not markup</b>"}


def test_a_project_without_an_index_lists_its_views(hello: Any, client: Any) -> None:
    text = client.get("/hello").text
    assert 'href="/hello/plain"' in text
    assert "order form" not in text


ASKING = """
from typing import Literal

def view_seat(row: int, *, side: Literal["left", "right"] = "left", loud: bool = False,
              name: str = "you"):
    '''Find a seat.

    :param row: from the front
    '''
    return f"{name} sits {side} in row {row}"
"""


def test_views_that_need_values_are_listed_with_a_form(
    project: Any, site: Any, client: Any
) -> None:
    project("hall", ASKING)
    site.mount("hall")
    text = client.get("/hall").text
    assert 'action="/hall/seat"' in text
    assert "Find a seat." in text
    assert 'title="from the front"' in text
    assert re.search(r'<input type="number" step="any" name="row" value="" required', text)
    assert re.search(r"<option selected>left</option>\s*<option >right</option>", text)
    assert re.search(r"<option >yes</option>\s*<option selected>no</option>", text)
    assert 'name="name" value="you"' in text


def test_a_page_that_was_not_given_a_value_asks_for_it(
    project: Any, site: Any, client: Any
) -> None:
    project("hall", ASKING)
    site.mount("hall")
    answer = client.get("/hall/seat", Accept="text/html")
    assert answer.status == 400
    assert "Row: a value is needed." in answer.text
    assert 'action="/hall/seat"' in answer.text
    assert "you sits left in row 3" in client.get("/hall/seat?row=3&loud=no").text
    program = client.get("/hall/seat.json")
    assert program.json["hint"] == "add ?row=..."


def test_a_fragment_comes_without_the_layout(hello: Any, client: Any) -> None:
    assert client.get("/render/hello/clock").text == "<p>tick</p>"
    assert client.get("/render/hello/greet?name=Ada").text == "<p>Ada x 1</p>"


def test_a_view_answers_the_method_in_its_name(hello: Any, client: Any) -> None:
    assert "order form" in client.get("/hello/order").text
    assert "pen 3" in client.post("/hello/order", {"item": "pen", "count": "3"}).text


def test_another_method_is_a_405_that_says_which_are_possible(hello: Any, client: Any) -> None:
    answer = client.post("/hello/plain")
    assert answer.status == 405
    assert answer.headers["allow"] == "GET, HEAD"
    assert client.get("/api/hello/send").headers["allow"] == "POST"


def test_head_is_get_without_a_body(hello: Any, client: Any) -> None:
    answer = client.send("HEAD", "/hello/plain")
    assert (answer.status, answer.body) == (200, b"")


def test_an_api_function_answers_json(hello: Any, client: Any) -> None:
    assert client.get("/api/hello/greet?name=Ada&loud=yes").json == {"said": "HELLO ADA"}


def test_an_api_function_takes_json_of_the_declared_types(hello: Any, client: Any) -> None:
    answer = client.post_json("/api/hello/send", {"payload": {"a": [1]}, "wait_s": 2})
    assert answer.json == {"payload": {"a": [1]}, "wait_s": 2.0}
    answer = client.post_json("/api/hello/send", {"payload": [1]})
    assert answer.status == 400
    assert answer.json["error"].startswith("payload: ")


def test_an_api_function_refuses_a_value_that_it_does_not_declare(hello: Any, client: Any) -> None:
    answer = client.get("/api/hello/greet?name=Ada&lout=yes")
    assert answer.status == 400
    assert answer.json == {
        "status": 400,
        "error": "there is no parameter 'lout'",
        "hint": "did you mean 'loud'?",
    }


def test_a_missing_value_is_a_400_that_names_it(hello: Any, client: Any) -> None:
    assert client.get("/api/hello/greet").json["error"] == "name: a value is needed"


def test_put_and_delete_reach_the_functions_of_that_name(hello: Any, client: Any) -> None:
    assert client.post_json("/api/hello/tag", {"tag": "A"}, method="PUT").json == "A"
    assert client.post_json("/api/hello/tag?tag=A", {}, method="DELETE").json is None


def test_generators_and_coroutines_are_run_to_their_end(hello: Any, client: Any) -> None:
    assert client.get("/api/hello/numbers").json == [0, 1, 2]
    assert client.get("/api/hello/later").json == "done"


@pytest.mark.parametrize(
    "path", ["/hello/greet2", "/hello/_hidden", "/nothing", "/api/hello/_hidden", "/hello/a/b",
             "/api/hello/view_greet", "/hello/greeter", "/render/hello/api_greet", "/hello/greet/"],
)  # fmt: skip
def test_what_is_not_routed_is_a_404(hello: Any, client: Any, path: str) -> None:
    if path.endswith("/"):
        assert client.get(path).status == 200  # a slash at the end is no other page
    else:
        assert client.get(path).status == 404


def test_an_error_is_a_500_page_with_an_id_and_no_detail(
    hello: Any, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    answer = client.get("/hello/broken")
    assert answer.status == 500
    assert "secret detail" not in answer.text
    error_id = answer.text.partition("<code>")[2].partition("</code>")[0]
    assert f"error {error_id}" in caplog.text
    assert "secret detail" in caplog.text


def test_an_error_of_an_api_function_is_json(hello: Any, client: Any) -> None:
    assert client.get("/api/nothing/here").json["status"] == 404


def test_a_problem_of_a_projects_own_has_its_status(project: Any, site: Any, client: Any) -> None:
    project("p", """
        from gway.web.reply import Problem
        def api_one(): raise Problem(409, "it is busy", "wait")
    """)  # fmt: skip
    site.mount("p")
    answer = client.get("/api/p/one")
    assert (answer.status, answer.json["error"], answer.json["hint"]) == (409, "it is busy", "wait")


def test_home_is_where_the_front_leads(project: Any, site: Any, client: Any) -> None:
    project("p", "def view_first_page(): return 'first'")
    assert client.get("/").status == 200
    site.mount("p", home="first-page")
    answer = client.get("/")
    assert (answer.status, answer.headers["location"]) == (303, "/p/first-page")


def test_a_home_that_is_no_view_is_an_error_that_says_what_there_is(
    project: Any, site: Any
) -> None:
    project("p", "def view_one(): return 1")
    with pytest.raises(UnknownName, match="has no view 'two'"):
        site.mount("p", home="two")


def test_a_project_may_stand_at_another_path(hello: Any, site: Any, client: Any) -> None:
    site.mount("hello", path="/elsewhere/here")
    assert client.get("/elsewhere/here/plain").status == 200
    assert client.get("/hello/plain").status == 404
    assert 'href="/elsewhere/here/plain"' in client.get("/elsewhere/here").text


def test_two_projects_cannot_stand_at_one_path(hello: Any, project: Any, site: Any) -> None:
    project("p", "def view_one(): return 1")
    with pytest.raises(UsageError, match="/hello is taken by hello"):
        site.mount("p", path="hello")


def test_a_project_at_the_root_answers_everything_that_is_not_taken(
    hello: Any, project: Any, site: Any, client: Any
) -> None:
    project("p", "def view_one(): return 'first'\ndef view_index(): return 'front'")
    site.mount("p", path="/")
    assert "first" in client.get("/one").text
    assert "front" in client.get("/").text
    assert client.get("/hello/plain").status == 200
    assert client.get("/metrics").text.startswith("# HELP")


def test_a_changing_view_that_returns_nothing_leads_back_to_its_page(
    project: Any, site: Any, client: Any
) -> None:
    project("p", """
        from gway.web.reply import Redirect
        def view_one(): return 1
        def view_post_one(): pass
        def view_post_two(): return Redirect("/p/one?done=yes")
    """)  # fmt: skip
    site.mount("p")
    answer = client.post("/p/one")
    assert (answer.status, answer.headers["location"]) == (303, "/p/one")
    assert client.post("/p/two").headers["location"] == "/p/one?done=yes"


def test_a_form_with_parts_is_read(hello: Any, client: Any) -> None:
    form = (
        '--b\r\nContent-Disposition: form-data; name="csrf"\r\n\r\n'
        f"{client.token()}\r\n"
        '--b\r\nContent-Disposition: form-data; name="item"\r\n\r\nCafé\r\n--b--\r\n'
    ).encode()
    answer = client.send("POST", "/hello/order", form, "multipart/form-data; boundary=b")
    assert "Café 1" in answer.text
    assert client.send("POST", "/hello/order", b"--b", "multipart/form-data").status == 400


def test_a_form_of_very_many_parts_is_refused_before_it_is_read(hello: Any, client: Any) -> None:
    part = b'\r\n--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nx'
    kind = "multipart/form-data; boundary=b"
    answer = client.send("POST", "/hello/order", part * 1_001 + b"\r\n--b--\r\n", kind)
    assert answer.status == 400
    assert "More than 1000 values." in answer.text


class _BrokenBody:
    def read(self, size: int) -> bytes:
        raise OSError("invalid chunk length")


def test_a_body_that_breaks_off_is_a_bad_request_and_no_fault_of_ours(
    hello: Any, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    client.environ = {"wsgi.input": _BrokenBody(), "HTTP_TRANSFER_ENCODING": "chunked"}
    answer = client.send("POST", "/hello/order", b"", "application/json")
    assert (answer.status, answer.headers["connection"]) == (400, "close")
    assert "Traceback" not in caplog.text


def test_a_path_that_is_not_utf_8_is_the_path_of_nothing(hello: Any, client: Any) -> None:
    client.environ = {"PATH_INFO": "/hello/\xff\xfe"}
    answer = client.get("/")
    assert answer.status == 404
    assert "There is nothing at /hello/\ufffd\ufffd." in answer.text


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("/quite/other", "The pages of this site are in its menu."),
        ("/api/quite/other", '"hint":"/openapi.json lists all calls"'),
    ],
)
def test_where_there_is_nothing_one_is_told_where_there_is_something(
    hello: Any, client: Any, path: str, hint: str
) -> None:
    assert hint in client.get(path).text


def test_a_view_that_is_named_often_is_shown_once(site: Any, client: Any, project: Any) -> None:
    project("p", """
        CALLS = []
        def view_one(): CALLS.append(1)
        def view_count(): return {"value": len(CALLS)}
    """)  # fmt: skip
    site.mount("p")
    assert client.get("/p/" + "+".join(["one"] * 50)).status == 200
    assert client.get("/p/count.json").json == {"value": 1}


@pytest.mark.parametrize("number", ["9" * 500, "-" + "9" * 5_000])
def test_a_number_of_any_size_is_a_bad_request_and_no_fault_of_ours(
    project: Any, site: Any, client: Any, number: str
) -> None:
    project("p", "def api_post_wait(seconds: float): return seconds")
    site.mount("p")
    body = f'{{"seconds": {number}}}'.encode()
    headers = {"X_CSRF_Token": client.token()}
    answer = client.send("POST", "/api/p/wait", body, "application/json", headers)
    assert answer.status == 400


def test_the_navigation_has_views_that_open_by_themselves_or_those_a_project_names(
    hello: Any, project: Any, site: Any
) -> None:
    project("p", 'NAV = {"one": "First"}\ndef view_one(): return 1\ndef view_two(): return 2')
    site.mount("p")
    site.add_link("/p/two", "More")
    titles = [link["title"] for link in site.navigation("/p/one") if link["path"].startswith("/p")]
    assert titles == ["First", "More"]
    assert [link["title"] for link in site.navigation("/p/one") if link["here"]] == ["First"]
    with pytest.raises(UsageError, match="not a path of this server"):
        site.add_link("https://elsewhere.example", "Away")


def test_a_redirect_never_leaves_the_server() -> None:
    from gway.web.reply import Redirect

    for path in ("https://elsewhere.example/", "//elsewhere.example", "/\\elsewhere", "/a\r\nX: y"):
        with pytest.raises(ValueError, match="path"):
            Redirect(path)


def test_a_body_over_one_mebibyte_is_a_413(hello: Any, client: Any) -> None:
    too_much = b"x" * (1024 * 1024 + 1)
    answer = client.send("POST", "/api/hello/send", too_much, "application/json")
    assert answer.status == 413
    client.environ["CONTENT_LENGTH"] = ""
    chunked = {"TRANSFER_ENCODING": "chunked"}
    answer = client.send("POST", "/api/hello/send", too_much, "application/json", chunked)
    assert answer.status == 413


def test_broken_json_and_unknown_types_are_refused(hello: Any, client: Any) -> None:
    headers = {"X_CSRF_Token": client.token()}
    answer = client.send("POST", "/api/hello/send", b"{", "application/json", headers)
    assert answer.status == 400
    answer = client.send("POST", "/api/hello/send", b"[]", "application/json", headers)
    assert "not a JSON object" in answer.json["error"]
    assert client.send("POST", "/api/hello/send", b"x", "text/plain", headers).status == 415
