"""A support bot as its team wrote it: the official SDK with its defaults, and no word of llmcache."""
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import anthropic
import openai

claude = anthropic.Anthropic()
gpt = openai.OpenAI()
traffic = {"running": False, "ok": 0, "failed": 0, "last": ""}


def ask(question, user):
    raw = claude.messages.with_raw_response.create(
        model="claude-sonnet-5-5",
        max_tokens=200,
        metadata={"user_id": user},
        messages=[{"role": "user", "content": question}],
    )
    return {
        "answer": raw.parse().content[0].text,
        "cache": raw.headers.get("cache-status", ""),
        "model": raw.headers.get("x-llmcache-model", ""),
        "reason": raw.headers.get("x-llmcache-reason", ""),
    }


def ask_gpt(question):
    raw = gpt.chat.completions.with_raw_response.create(
        model="gpt-6.1-terra", messages=[{"role": "user", "content": question}]
    )
    return {"answer": raw.parse().choices[0].message.content, "cache": raw.headers.get("cache-status", "")}


def chatter():
    number = 0
    while traffic["running"]:
        number += 1
        try:
            ask(f"How do I return order {number % 7}?", f"u{number % 3}")
            traffic["ok"] += 1
        except Exception as error:
            traffic["failed"] += 1
            traffic["last"] = repr(error)
        time.sleep(0.05)


class Bot(BaseHTTPRequestHandler):
    def do_GET(self):
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        try:
            answer = self.answer(url.path, query)
        except Exception as error:
            answer = {"error": repr(error)}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def answer(self, path, query):
        if path == "/ask":
            return ask(query["q"], query.get("user", "nobody"))
        if path == "/gpt":
            return ask_gpt(query["q"])
        if path == "/start":
            traffic.update(running=True, ok=0, failed=0, last="")
            threading.Thread(target=chatter, daemon=True).start()
        if path == "/stop":
            traffic["running"] = False
        return traffic

    def log_message(self, *arguments):
        pass


ThreadingHTTPServer(("127.0.0.1", 8000), Bot).serve_forever()
