"""Alerts that leave the process: queued, delivered in order, tried again, counted where they are lost."""

import contextlib
import copy
import json
import logging
import os
import pickle
import subprocess
import sys
import threading
from datetime import UTC, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from safeguards import Alert, AlertSeverity, BudgetCoordinator, ConfigurationError, NotificationManager
from safeguards.alerts import LogSink, SlackSink, WebhookSink

URL = "https://hooks.example.com/services/secret?token=secret"


class Wire:
    """Answers with the statuses that it was given, then with 200, and keeps what was sent."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.sent = []

    def __call__(self, url, body, headers, timeout):
        self.sent.append((url, json.loads(body), headers, timeout))
        answer = self.answers.pop(0) if self.answers else 200
        if isinstance(answer, BaseException):
            raise answer
        return answer if isinstance(answer, tuple) else (answer, {})


def webhook(*answers, **options):
    wire, waits = Wire(*answers), []
    options = {"transport": wire, "wait": waits.append, "random": lambda: 1.0, **options}
    return WebhookSink(URL, **options), wire, waits


def titles(wire):
    return [body["title"] for _, body, _, _ in wire.sent]


def test_a_webhook_gets_what_the_alert_says():
    sink, wire, _ = webhook(headers={"Authorization": "Bearer secret"})
    manager = NotificationManager(thresholds=[0.5])
    manager.add_handler(sink)
    coordinator = BudgetCoordinator(manager)
    team = coordinator.create_budget_pool("team", 100)
    bot = coordinator.register_agent("bot", team, initial_budget="10.00")
    coordinator.debit(bot, "6.50")
    assert sink.flush()
    [(url, body, headers, timeout)] = wire.sent
    assert url == URL and timeout == 5 and headers["Authorization"] == "Bearer secret"
    assert headers["Content-Type"] == "application/json; charset=utf-8"
    [alert] = manager.get_alerts()
    assert body == {
        "title": "agent 'bot' has spent 50% of its budget",
        "message": "6.5 of 10 is spent: raise it with update_budget.",
        "severity": "WARNING",
        "time": alert.time.isoformat(),
        "account": "bot",
        "details": {"kind": "agent", "threshold": 0.5, "granted": "10", "spent": "6.5"},
    }
    assert (sink.delivered, sink.dropped, sink.waiting) == (1, 0, 0)
    sink.close()


def test_what_may_pass_is_tried_again_after_longer_and_longer_waits():
    failures = (503, TimeoutError("read"), 429, ConnectionResetError("peer"), 500)
    sink, wire, waits = webhook(*failures)
    with sink:
        sink(Alert("one"))
        sink(Alert("two"))
        assert sink.flush()
    assert titles(wire) == ["one"] * 6 + ["two"]
    assert waits == [1, 2, 4, 8, 16]
    assert (sink.delivered, sink.dropped) == (2, 0)


def test_half_of_a_delay_is_drawn_and_none_is_longer_than_a_minute():
    sink, _, waits = webhook(*[500] * 9, random=lambda: 0.0, max_attempts=10)
    with sink:
        sink(Alert("one"))
        assert sink.flush()
    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


@pytest.mark.parametrize(
    ("asked", "waited"), [("7", 7), ("100000000000", 60), ("soon", 1), ("", 1), ("-5", 1), ("\u0665", 1)]
)
def test_an_answer_may_ask_to_be_left_alone(asked, waited):
    sink, _, waits = webhook((429, {"Retry-After": asked}))
    with sink:
        sink(Alert("one"))
        assert sink.flush()
    assert waits == [waited]


def test_what_fails_each_time_is_dropped_and_told(caplog):
    sink, wire, waits = webhook(*[OSError(URL)] * 3, max_attempts=3)
    with caplog.at_level(logging.WARNING, "safeguards.alerts"), sink:
        sink(Alert("one"))
        sink(Alert("two"))
        assert sink.flush()
    assert titles(wire) == ["one"] * 3 + ["two"] and len(waits) == 2
    assert (sink.delivered, sink.dropped) == (1, 1)
    assert "the alert 'one': hooks.example.com: OSError (3 attempts)" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (404, "hooks.example.com answered 404"),
        (302, "answered 302, which is not followed"),
        (ValueError(URL), "hooks.example.com: ValueError"),
        (199, "answered 199"),
    ],
)
def test_what_will_not_pass_is_dropped_at_once(answer, reason, caplog):
    sink, wire, waits = webhook(answer)
    with caplog.at_level(logging.WARNING, "safeguards.alerts"), sink:
        sink(Alert("one"))
        assert sink.flush()
    assert (len(wire.sent), waits, sink.dropped) == (1, [], 1)
    assert reason in caplog.text and "secret" not in caplog.text


def test_a_full_queue_drops_what_comes_and_counts_it(caplog):
    goes_on, begun = threading.Event(), threading.Event()
    sent = []

    def slow(url, body, headers, timeout):
        begun.set()
        goes_on.wait(10)
        sent.append(json.loads(body)["title"])
        return 200, {}

    sink = WebhookSink(URL, transport=slow, max_queued=2)
    with caplog.at_level(logging.WARNING, "safeguards.alerts"):
        sink(Alert("1"))
        assert begun.wait(10)  # it is no longer in the queue
        for title in ("2", "3", "4", "5"):
            sink(Alert(title))
        assert (sink.dropped, sink.waiting) == (2, 2)
        assert not sink.flush(0.01)
        goes_on.set()
        assert sink.flush()
    assert sent == ["1", "2", "3"] and sink.delivered == 3
    assert caplog.text.count("2 others wait") == 2
    sink.close()


def test_closing_gives_up_what_is_not_delivered_in_time(caplog):
    begun = threading.Event()

    def down(url, body, headers, timeout):
        begun.set()
        return 503, {}

    sink = WebhookSink(URL, transport=down, max_attempts=100)
    sink(Alert("1"))
    sink(Alert("2"))
    assert begun.wait(10)
    with caplog.at_level(logging.WARNING, "safeguards.alerts"):
        sink.close(0.05)  # it is in the middle of a pause of half a second or more
        assert sink.dropped >= 1
        sink(Alert("3"))
        sink.close()
    for _ in range(1_000):  # the thread has still to give up its own
        if sink.dropped == 3:
            break
        threading.Event().wait(0.01)
    assert (sink.delivered, sink.dropped) == (0, 3)
    assert sink.flush(5)
    assert "the sink is closed" in caplog.text


def test_one_alert_that_cannot_be_told_does_not_hold_up_the_others(caplog):
    sink, wire, _ = webhook()
    endless = []
    endless.append(endless)
    with caplog.at_level(logging.WARNING, "safeguards.alerts"), sink:
        sink(Alert("endless", details={"list": endless}))
        sink(Alert("\udc80 half", details={"what": object}))
        assert sink.flush()
    assert titles(wire) == ["\udc80 half"] and sink.dropped == 1


def test_many_threads_deliver_each_alert_once():
    sink, wire, _ = webhook(max_queued=10_000)
    manager = NotificationManager()
    manager.add_handler(sink)

    def send(thread):
        for i in range(100):
            manager.send_alert(f"{thread}.{i}")

    threads = [threading.Thread(target=send, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sink.flush(30)
    assert sorted(titles(wire)) == sorted(f"{t}.{i}" for t in range(8) for i in range(100))
    for thread in range(8):  # in order
        assert [t for t in titles(wire) if t.startswith(f"{thread}.")] == [
            f"{thread}.{i}" for i in range(100)
        ]
    assert sink.delivered == 800
    sink.close()


def test_slack_gets_what_it_shows():
    wire = Wire()
    sink = SlackSink(URL, transport=wire)
    with sink:
        sink(
            Alert(
                "agent 'a<b>&c' has spent 80%",
                "raise <!channel>",
                AlertSeverity.ERROR,
                datetime(2026, 1, 1, tzinfo=UTC),
                "a<b>&c",
            )
        )
        sink(Alert("x" * 5_000))
        assert sink.flush()
    (_, first, _, _), (_, second, _, _) = wire.sent
    head = "*ERROR* agent 'a&lt;b&gt;&amp;c' has spent 80%"
    assert first["text"] == head
    assert first["blocks"] == [
        {"type": "section", "text": {"type": "mrkdwn", "text": f"{head}\nraise &lt;!channel&gt;"}},
        {
            "type": "context",
            "elements": [{"type": "mrkdwn", "text": "account a&lt;b&gt;&amp;c, 2026-01-01T00:00:00+00:00"}],
        },
    ]
    assert len(second["blocks"]) == 1 and len(second["blocks"][0]["text"]["text"]) < 3_000


def test_a_log_has_the_alert_at_its_level(caplog):
    with caplog.at_level(logging.DEBUG, "budgets"), LogSink("budgets") as sink:
        for severity in AlertSeverity:
            sink(Alert(severity.name, "look" if severity > AlertSeverity.INFO else "", severity))
        assert sink.flush()
    told = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert told == [
        ("INFO", "INFO"),
        ("WARNING", "WARNING: look"),
        ("ERROR", "ERROR: look"),
        ("CRITICAL", "CRITICAL: look"),
    ]
    assert caplog.records[0].alert.severity is AlertSeverity.INFO
    assert repr(sink) == "LogSink('budgets': 4 delivered, 0 dropped)"
    assert LogSink(logging.getLogger("own")).waiting == 0


def test_secrets_are_never_shown():
    for sink in (WebhookSink(URL, headers={"X-Key": "secret"}), SlackSink(URL)):
        assert repr(sink) == f"{type(sink).__name__}('hooks.example.com': 0 delivered, 0 dropped)"
        for take in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="a queue and a thread: make one where it is used") as refused:
                take(sink)
            assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks.example.com/secret",
        "file:///etc/secret",
        "ftp://host/secret",
        "https://",
        "https:///secret",
        "https://user:secret@host/",
        "https://secret@host/",
        "https://host/a secret",
        "https://host/\nsecret",
        "https://host/\u00e4-secret",
        "https://host:secret/",
        "https://[secret/",
    ],
)
def test_what_is_no_url(url):
    with pytest.raises(ConfigurationError, match="url must be one such as 'https://host/path'") as refused:
        WebhookSink(url)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("argument", "value", "text"),
    [
        ("headers", {"X-Key": "a\r\nX-Evil: secret"}, "headers must be of plain ASCII"),
        ("headers", {"X Key": "a"}, "headers must be of plain ASCII"),
        ("headers", {"X-Key": 5}, r"headers\['X-Key'\] must be a str, not a int"),
        ("headers", ["X-Key"], "headers must be a mapping"),
        ("timeout_seconds", 0, "timeout_seconds must be above 0"),
        ("timeout_seconds", True, "timeout_seconds must be a number"),
        ("timeout_seconds", float("nan"), "timeout_seconds must be above 0"),
        ("timeout_seconds", Decimal("sNaN"), "timeout_seconds must be above 0"),
        ("max_queued", 0, "max_queued must be from 1"),
        ("max_attempts", 1.5, "max_attempts must be a whole number"),
        ("transport", 5, "transport must be something that can be called"),
        ("random", "x", "random must be something that can be called"),
    ],
)
def test_arguments_of_a_webhook(argument, value, text):
    with pytest.raises(ConfigurationError, match=text):
        WebhookSink(URL, **{argument: value})


def test_other_bad_input():
    with pytest.raises(TypeError, match="url must be one such as"):
        WebhookSink(b"https://host")
    with pytest.raises(TypeError, match="logger must be a str"):
        LogSink(5)
    sink, _, _ = webhook()
    with pytest.raises(TypeError, match="alert must be a Alert"):
        sink("title")
    with pytest.raises(ConfigurationError, match="timeout_seconds must be from 0"):
        sink.flush(-1)
    with pytest.raises(ConfigurationError, match="timeout_seconds must be from 0"):
        sink.close(float("inf"))
    assert sink.flush(0) and sink.dropped == 0
    sink.close()


@contextlib.contextmanager
def served(*answers):
    """A server on this machine that answers as it is told, then with 204."""
    rest, posts = list(answers), []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            posts.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            status, headers = rest.pop(0) if rest else (204, {})
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_):
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", posts
    finally:
        server.shutdown()
        server.server_close()


def test_a_real_server_gets_them():
    with served((500, {}), (302, {"Location": "/elsewhere"})) as (url, posts):
        sink = WebhookSink(f"{url}/in?key=1", wait=lambda _: None)
        with sink:
            for title in ("tried again", "sent elsewhere", "taken"):
                sink(Alert(title))
            assert sink.flush(20)
        assert [path for path, _ in posts] == ["/in?key=1"] * 4
        assert [body["title"] for _, body in posts] == ["tried again"] * 2 + ["sent elsewhere", "taken"]
        assert (sink.delivered, sink.dropped) == (2, 1)


def test_nobody_listens_there():
    with served() as (url, _):
        pass
    with WebhookSink(url, wait=lambda _: None, max_attempts=2) as sink:
        sink(Alert("one"))
        assert sink.flush(20)
    assert (sink.delivered, sink.dropped) == (0, 1)


PROGRAM = """
import sys
from safeguards import Alert
from safeguards.alerts import WebhookSink
sink = WebhookSink(sys.argv[1])
for i in range(3):
    sink(Alert(str(i)))
"""


def test_what_waits_at_the_end_of_a_program_is_delivered():
    with served() as (url, posts):
        subprocess.run([sys.executable, "-c", PROGRAM, url], check=True, timeout=60)
        assert [body["title"] for _, body in posts] == ["0", "1", "2"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_delivers_its_own():
    with served() as (url, posts):
        sink = WebhookSink(url)
        sink(Alert("parent"))
        assert sink.flush(20)
        pid = os.fork()
        if pid == 0:
            try:
                sink(Alert("child"))
                os._exit(0 if sink.flush(20) and sink.delivered == 2 else 1)
            finally:
                os._exit(2)
        assert os.waitpid(pid, 0)[1] == 0
        sink(Alert("parent again"))
        assert sink.flush(20)
        assert [body["title"] for _, body in posts] == ["parent", "child", "parent again"]
        assert sink.delivered == 2
        sink.close()
