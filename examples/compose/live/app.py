"""Pages from templates, and a stream that tells browsers when to load them again."""

import signal
import threading

from flask import Flask, Response, render_template

GREETING = "Hello"

app = Flask(__name__, template_folder="pages")
app.config["TEMPLATES_AUTO_RELOAD"] = True
changed = threading.Condition()
version = 0


def reload(_signal, _frame):
    """A template has changed: whoever waits in `events` is woken."""

    def tell():
        global version
        with changed:
            version += 1
            changed.notify_all()

    # Not in the handler itself, which may interrupt a thread that holds the lock.
    threading.Thread(target=tell).start()


@app.get("/")
def index():
    return render_template("index.html", greeting=GREETING)


@app.get("/health")
def health():
    return "fine\n"


@app.get("/events")
def events():
    """Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

    def stream():
        seen = version
        yield "data: connected\n\n"
        while True:
            with changed:
                if changed.wait_for(lambda: version != seen, timeout=30):
                    seen = version
                    yield "data: reload\n\n"
                else:
                    # A comment: a browser that has gone is found out by it.
                    yield ": still here\n\n"

    return Response(stream(), mimetype="text/event-stream")


if __name__ == "__main__":
    signal.signal(signal.SIGHUP, reload)
    signal.signal(signal.SIGTERM, lambda *_: exit(0))
    app.run(host="0.0.0.0", port=8000, threaded=True)
