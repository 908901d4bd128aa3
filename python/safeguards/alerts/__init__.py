"""Handlers that carry alerts out of the process: to a log, a webhook, Slack.

Each has a queue and a thread of its own, so that no debit waits for a network:

    >>> from safeguards import NotificationManager
    >>> from safeguards.alerts import LogSink
    >>> manager = NotificationManager()
    >>> with LogSink("budgets") as sink:
    ...     manager.add_handler(sink)
    ...     alert = manager.send_alert("Model prices have changed")
    ...     sink.flush()
    True
"""

from safeguards.alerts._sinks import LogSink, SlackSink, WebhookSink

__all__ = ["LogSink", "SlackSink", "WebhookSink"]
