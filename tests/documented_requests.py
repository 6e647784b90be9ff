"""Requests of clients that must work word for word."""

from __future__ import annotations

CURL_BODY = """{
"model": "meta/llama-3.1-70b-instruct",
"messages": [{"role":"user","content":"hello"}],
"stream": true
}"""
JSON_BODY = """{
"model": "meta/llama-3.1-70b-instruct",
"messages": [
{ "role": "system", "content": "You are a helpful assistant." },
{ "role": "user", "content": "Hello!" }
],
"temperature": 0.7,
"top_p": 0.95,
"max_tokens": 1024,
"stream": false
}"""
HEADERS = {"Authorization": "Bearer sk-aig-1234", "Content-Type": "application/json"}
