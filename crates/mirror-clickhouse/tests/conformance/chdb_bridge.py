"""ClickHouse's HTTP interface, as far as the mirror needs it, over the engine that the package chdb-core carries.

Prints its port. Takes one statement at a time; the body of an INSERT goes through a file, because the engine reads
binary input from nowhere else. Ends when its standard input does.
"""

import os
import re
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from chdb import session

FOLDER = tempfile.mkdtemp(prefix="tallybook-chdb-", dir=sys.argv[1])
ONE_AT_A_TIME = threading.Lock()
SESSION = session.Session(os.path.join(FOLDER, "data"))
INSERT = re.compile(r"^(INSERT INTO .*) FORMAT RowBinary$", re.DOTALL)
CODE = re.compile(r"Code: (\d+)")


class Bridge(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        options = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        try:
            body = self.body()
        except (ValueError, OSError):  # the client was cut off
            self.close_connection = True
            return
        try:
            with ONE_AT_A_TIME:
                answer = run(options, body)
            self.answer(200, answer)
        except Exception as error:  # whatever the engine says is what the server would answer
            said = str(error)
            code = CODE.search(said)
            self.answer(500, said.encode(), code.group(1) if code else None)

    def body(self):
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline().strip(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def answer(self, status, body, code=None):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if code:
            self.send_header("X-ClickHouse-Exception-Code", code)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def run(options, body):
    insert = INSERT.match(options.get("query", ""))
    if not insert:
        return SESSION.query(body.decode(), options.get("default_format", "TabSeparated")).bytes()
    file = os.path.join(FOLDER, "rows")
    with open(file, "wb") as rows:
        rows.write(body)
    settings = ", ".join(f"{name} = {value}" for name, value in options.items() if name.startswith("max_"))
    settings = f" SETTINGS {settings}" if settings else ""
    SESSION.query(f"{insert.group(1)} FROM INFILE '{file}'{settings} FORMAT RowBinary")
    return b""


server = ThreadingHTTPServer(("127.0.0.1", 0), Bridge)
print(server.server_port, flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
