"""An app that tells its semantic cache what was right, until a paraphrase is served from it."""
import json
import os
import urllib.request

import anthropic

claude = anthropic.Anthropic()
# Its base URL is the sidecar's, which takes feedback on the same port.
proxy = os.environ["ANTHROPIC_BASE_URL"].removesuffix("/anthropic")


def ask(question):
    raw = claude.messages.with_raw_response.create(
        model="claude-haiku-5-5", max_tokens=200, messages=[{"role": "user", "content": question}]
    )
    return raw.headers, raw.parse().content[0].text


def right(request):
    body = json.dumps({"request": request, "wrong": False}).encode()
    headers = {"content-type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(f"{proxy}/llmcache/feedback", body, headers))


labels, last = 0, ""
for line in open("/bot/paraphrases.jsonl"):
    pair = json.loads(line)
    _, stored = ask(pair["a"])
    headers, text = ask(pair["b"])
    last = headers.get("x-llmcache-reason", "")
    if "detail=semantic" in headers.get("cache-status", ""):
        print(json.dumps({"labels": labels, "same": text == stored, "cache": headers["cache-status"],
                          "similarity": headers["x-llmcache-similarity"], "threshold": headers["x-llmcache-threshold"]}))
        break
    if headers.get("x-llmcache-feedback"):
        right(headers["x-llmcache-request-id"])
        labels += 1
else:
    print(json.dumps({"labels": labels, "reason": last}))
