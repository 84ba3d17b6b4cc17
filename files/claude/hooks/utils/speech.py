"""Speech from a service on the network: a fixed sentence goes there over HTTPS, sound comes back.

Used only where the configuration names such an engine and the file of its key. What Claude or the user wrote
is never sent.
"""

from __future__ import annotations

import io
import json
import os
import stat
import urllib.error
import urllib.parse
import urllib.request
import wave
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

PATIENCE = 10.0  # seconds; what comes later nobody waits for any more
LARGEST = 4 << 20  # bytes of sound
LOOPBACK = ("127.0.0.1", "::1", "localhost")


class SpeechError(Exception):
    """No speech was made; the text is one sentence, without the key."""


class Service(NamedTuple):
    """A service: its address, its default model and voice, and the rate of its sound in Hz."""

    endpoint: str
    model: str
    voice: str
    rate: int


SERVICES = {
    "elevenlabs": Service("https://api.elevenlabs.io", "eleven_multilingual_v2", "", 22_050),
    "openai": Service("https://api.openai.com", "gpt-4o-mini-tts", "alloy", 24_000),
}


def read_key(path: str) -> str:
    """Return the key in the file at `path`; raises `SpeechError`, also where everybody can read it."""
    try:
        with open(os.path.expanduser(path), encoding="ascii") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & stat.S_IROTH:
                message = f"everybody can read {path}: take that right from others (chmod o-r)"
                raise SpeechError(message)
            key = file.read(4096).strip()
    except (OSError, ValueError) as error:
        message = f"the key in {path} cannot be read: {getattr(error, 'strerror', None) or 'it is no ASCII'}"
        raise SpeechError(message) from error
    if not key or not key.isprintable() or " " in key:
        message = f"{path} holds no key"
        raise SpeechError(message)
    return key


def request(
    engine: str, text: str, *, key: str, endpoint: str = "", model: str = "", voice: str = ""
) -> urllib.request.Request:
    """Return the request for `text`; empty arguments are the service's own. Raises `SpeechError`."""
    service = SERVICES[engine]
    base = (endpoint or service.endpoint).rstrip("/")
    parts = urllib.parse.urlsplit(base)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        message = f"the endpoint {base} is no https address"
        raise SpeechError(message)
    voice = voice or service.voice
    if not voice:
        message = f"{engine} needs a voice: the id of one of yours"
        raise SpeechError(message)
    if engine == "elevenlabs":
        quoted = urllib.parse.quote(voice, safe="")
        url = f"{base}/v1/text-to-speech/{quoted}?output_format=pcm_{service.rate}"
        headers = {"xi-api-key": key}
        body: Mapping[str, str] = {"text": text, "model_id": model or service.model}
    else:
        url = f"{base}/v1/audio/speech"
        headers = {"Authorization": f"Bearer {key}"}
        body = {"model": model or service.model, "voice": voice, "input": text, "response_format": "pcm"}
    headers = {**headers, "Content-Type": "application/json", "User-Agent": "claude-code-observability"}
    return urllib.request.Request(url, json.dumps(body).encode(), headers, method="POST")  # noqa: S310 # checked above


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the key to whoever it names."""

    def redirect_request(self, *_: object) -> None:
        return None


def fetch(asked: urllib.request.Request, *, rate: int) -> bytes:
    """Return the answer's sound as a WAV file; raises `SpeechError`."""
    host = asked.host
    handlers: list[urllib.request.BaseHandler] = [_NoRedirects()]
    if urllib.parse.urlsplit(asked.full_url).hostname in LOOPBACK:
        handlers.append(urllib.request.ProxyHandler({}))
    try:
        with urllib.request.build_opener(*handlers).open(asked, timeout=PATIENCE) as answer:
            sound = answer.read(LARGEST + 1)
    except urllib.error.HTTPError as error:
        hint = {
            401: ": the key is not accepted",
            403: ": the key may not do this",
            429: ": the quota is used up",
        }
        message = f"{host} answered {error.code}{hint.get(error.code, '')}"
        raise SpeechError(message) from None
    except (OSError, ValueError) as error:
        message = f"{host} does not answer: {getattr(error, 'reason', error)}"
        raise SpeechError(message) from None
    if not sound or len(sound) > LARGEST or len(sound) % 2:
        message = f"{host} answered with {len(sound)} bytes, which are no sound"
        raise SpeechError(message)
    return wav(sound, rate=rate)


def wav(samples: bytes, *, rate: int) -> bytes:
    """Return 16-bit samples of one channel as a WAV file."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples)
    return buffer.getvalue()
