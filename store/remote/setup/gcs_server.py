"""What mlsm asks of Google Cloud Storage, in memory: `python3 gcs_server.py PORT`.

The requests of the service's XML API (https://cloud.google.com/storage/docs/xml-api/reference-methods): objects are put (also
in parts), copied, read (also a range), looked up, listed and removed; `x-goog-if-generation-match` makes a put conditional, 0 meaning
"unless it exists". A listing gives at most PAGE names at a time, so that whoever lists must ask on. Nothing is checked of who
asks.
"""

import email.utils
import hashlib
import http.server
import itertools
import re
import sys
import threading
import time
import urllib.parse
from xml.sax.saxutils import escape

PAGE = 50

LOCK = threading.Lock()
OBJECTS, UPLOADS = {}, {}  # by bucket/name: bytes, generation, seconds; by id: parts by number
COUNT = itertools.count(1)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # an answer leaves in one piece

    def log_message(self, *_):
        pass

    def handle_request(self):
        address = urllib.parse.urlsplit(self.path)
        name = urllib.parse.unquote(address.path).lstrip("/")
        query = dict(urllib.parse.parse_qsl(address.query, keep_blank_values=True))
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with LOCK:
            status, headers, answer = self.answer(name, query, body)
        self.send_response(status)
        for header, value in headers.items():
            self.send_header(header, value)
        self.send_header("Content-Length", headers.get("X-Length", len(answer)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_request

    def answer(self, name, query, body):
        if "list-type" in query:
            return listing(name.rstrip("/") + "/", query)
        if self.command == "POST" and "uploads" in query:
            upload = f"upload-{next(COUNT)}"
            UPLOADS[upload] = {}
            return page("InitiateMultipartUploadResult", f"<UploadId>{upload}</UploadId>")
        if "uploadId" in query:
            return self.answer_upload(name, query, body)
        if self.command == "PUT":
            return self.put(name, body)
        if name not in OBJECTS:
            return problem(404, "NoSuchKey")
        if self.command == "DELETE":
            del OBJECTS[name]
            return 204, {}, b""
        return self.read(name)

    def answer_upload(self, name, query, body):
        parts = UPLOADS.get(query["uploadId"])
        if parts is None:
            return problem(404, "NoSuchUpload")
        if self.command == "PUT":
            parts[int(query["partNumber"])] = body
            return 200, {"ETag": tag(body)}, b""
        del UPLOADS[query["uploadId"]]
        if self.command == "DELETE":
            return 204, {}, b""
        numbers = [int(number) for number in re.findall(rb"<PartNumber>(\d+)</PartNumber>", body)]
        _, headers, _ = self.put(name, b"".join(parts[number] for number in numbers))
        status, _, answer = page("CompleteMultipartUploadResult", f"<ETag>{escape(headers['ETag'])}</ETag>")
        return status, headers, answer

    def put(self, name, body):
        source = self.headers.get("x-goog-copy-source")
        if source is not None:
            source = urllib.parse.unquote(source)
            if source not in OBJECTS:
                return problem(404, "NoSuchKey")
            body = OBJECTS[source][0]
        expected = self.headers.get("x-goog-if-generation-match")
        generation = OBJECTS[name][1] if name in OBJECTS else 0
        if expected is not None and int(expected) != generation:
            return problem(412, "PreconditionFailed")
        OBJECTS[name] = (body, next(COUNT), time.time())
        return 200, described(name), b""

    def read(self, name):
        body, headers = OBJECTS[name][0], described(name)
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if self.command == "HEAD":
            return 200, headers | {"X-Length": len(body)}, b""
        if asked is None:
            return 200, headers, body
        first, last = int(asked[1]), min(int(asked[2] or len(body)), len(body) - 1)
        if first >= len(body):
            return problem(416, "InvalidRange")
        return 206, headers | {"Content-Range": f"bytes {first}-{last}/{len(body)}"}, body[first : last + 1]


def tag(body):
    return f'"{hashlib.md5(body).hexdigest()}"'


def described(name):
    body, generation, seconds = OBJECTS[name]
    return {
        "ETag": tag(body),
        "x-goog-generation": str(generation),
        "Last-Modified": email.utils.formatdate(seconds, usegmt=True),
    }


def listing(bucket, query):
    prefix, after = bucket + query.get("prefix", ""), query.get("continuation-token", "")
    names = sorted(name[len(bucket) :] for name in OBJECTS if name.startswith(prefix))
    names = [name for name in names if name > after]
    more = f"<NextContinuationToken>{escape(names[PAGE - 1])}</NextContinuationToken>" if len(names) > PAGE else ""
    return page("ListBucketResult", more + "".join(listed(bucket, name) for name in names[:PAGE]))


def listed(bucket, name):
    body, _, seconds = OBJECTS[bucket + name]
    changed = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(seconds))
    return (
        f"<Contents><Key>{escape(name)}</Key><Size>{len(body)}</Size><LastModified>{changed}</LastModified>"
        f"<ETag>{escape(tag(body))}</ETag></Contents>"
    )


def page(kind, inner):
    return 200, {"Content-Type": "application/xml"}, f"<?xml version='1.0'?><{kind}>{inner}</{kind}>".encode()


def problem(status, code):
    return status, {"Content-Type": "application/xml"}, f"<Error><Code>{code}</Code></Error>".encode()


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128


if __name__ == "__main__":
    Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
