"""A client of an OVSDB server by the reference's Python replica, and what the server itself says.

    ovsdb_peers.py peer REMOTE SCHEMA SEED     writes at random (not with seed 0) and keeps a copy
    ovsdb_peers.py truth SOCKET                prints what the server holds

A peer is asked by lines: "stop" ends its writing, "dump" prints its copy as one line.
"""
import json
import os
import queue
import random
import socket
import sys
import threading


def plain(datum):
    """The same text for the same value."""
    if isinstance(datum, list) and datum and datum[0] in ("set", "map"):
        items = sorted(json.dumps(plain(item) if datum[0] == "set" else item) for item in datum[1])
        if datum[0] == "set" and len(items) == 1:
            return json.loads(items[0])
        return [datum[0], [json.loads(item) for item in items]]
    return datum


def columns(pairs):
    """The columns that hold something: a replica does not keep what is empty."""
    values = {name: plain(value) for name, value in pairs}
    return {name: value for name, value in values.items() if value not in (["set", []], ["map", []])}


def show(tables):
    print(json.dumps(tables, sort_keys=True), flush=True)


class Truth:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.text = ""

    def call(self, method, params):
        self.socket.sendall(json.dumps({"id": 0, "method": method, "params": params}).encode())
        while True:
            try:
                reply, end = json.JSONDecoder().raw_decode(self.text)
            except ValueError:
                self.text += self.socket.recv(1 << 20).decode()
                continue
            self.text = self.text[end:].lstrip()
            return reply["result"]

    def run(self):
        schema = self.call("get_schema", ["Open_vSwitch"])
        names = sorted(schema["tables"])
        selects = [{"op": "select", "table": name, "where": []} for name in names]
        results = self.call("transact", ["Open_vSwitch"] + selects)
        tables = {}
        for name, result in zip(names, results):
            rows = {}
            for row in result["rows"]:
                names_of = schema["tables"][name]["columns"]
                rows[row["_uuid"][1]] = columns((column, row[column]) for column in names_of)
            if rows:
                tables[name] = rows
        show(tables)


class Peer:
    def __init__(self, remote, schema, seed):
        import ovs.db.idl
        import ovs.poller
        self.ovs = ovs
        helper = ovs.db.idl.SchemaHelper(schema)
        helper.register_all()
        self.idl = ovs.db.idl.Idl(remote, helper)
        self.random = random.Random(seed)
        self.writes = seed != 0
        self.seed = seed
        self.transaction = None
        self.committed = 0
        self.commands = queue.Queue()
        self.pipe = os.pipe()
        os.set_blocking(self.pipe[0], False)
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        for line in sys.stdin:
            self.commands.put(line.strip())
            os.write(self.pipe[1], b"x")
        os._exit(0)

    def run(self):
        seqno = self.idl.change_seqno
        while True:
            self.idl.run()
            self.write()
            while not self.commands.empty():
                command = self.commands.get()
                if command == "stop":
                    self.writes = False
                elif command == "dump":
                    self.dump()
            poller = self.ovs.poller.Poller()
            self.idl.wait(poller)
            if self.transaction:
                self.transaction.wait(poller)
            poller.fd_wait(self.pipe[0], self.ovs.poller.POLLIN)
            if self.idl.change_seqno != seqno or self.writes:
                poller.timer_wait(1)
                seqno = self.idl.change_seqno
            poller.block()
            try:
                os.read(self.pipe[0], 100)
            except BlockingIOError:
                pass

    def dump(self):
        tables = {}
        for name, table in self.idl.tables.items():
            rows = {}
            for row in table.rows.values():
                rows[str(row.uuid)] = columns((c, d.to_json()) for c, d in row._data.items())
            if rows:
                tables[name] = rows
        print(self.committed, flush=True)
        show(tables)

    def write(self):
        Transaction = self.ovs.db.idl.Transaction
        if self.transaction is None:
            if not self.writes or not self.idl.has_ever_connected():
                return
            self.transaction = Transaction(self.idl)
            for _ in range(self.random.randint(1, 4)):
                self.change(self.transaction)
        status = self.transaction.commit()
        if status != Transaction.INCOMPLETE:
            self.committed += status in (Transaction.SUCCESS, Transaction.UNCHANGED)
            self.transaction = None

    def rows(self, table):
        """Rows that the server has: those of the transaction at hand have no columns to read yet."""
        rows = [row for row in self.idl.tables[table].rows.values() if row._data]
        return sorted(rows, key=lambda row: str(row.uuid))

    def change(self, transaction):
        roots = self.rows("Open_vSwitch")
        if not roots:
            return
        root = roots[0]
        bridges = self.rows("Bridge")
        choice = self.random.randrange(8)
        if choice <= 1 and len(bridges) < 12:
            bridge = transaction.insert(self.idl.tables["Bridge"])
            bridge.name = "br%d-%d" % (self.seed, self.random.randrange(40))
            root.addvalue("bridges", bridge)
        elif choice == 2 and len(bridges) > 3:
            root.delvalue("bridges", self.random.choice(bridges))
        elif choice <= 4 and bridges:
            bridge = self.random.choice(bridges)
            if len(bridge.ports) < 40:
                port = transaction.insert(self.idl.tables["Port"])
                port.name = "p%d-%d" % (self.seed, self.random.randrange(10000))
                interface = transaction.insert(self.idl.tables["Interface"])
                interface.name = port.name
                interface.external_ids = {"id": str(self.random.random())}
                port.interfaces = [interface]
                bridge.addvalue("ports", port)
            else:
                bridge.delvalue("ports", self.random.choice(bridge.ports))
        elif choice == 5 and bridges:
            bridge = self.random.choice(bridges)
            bridge.setkey("other_config", "k%d" % self.random.randrange(5), str(self.random.random()))
        elif choice == 6 and self.rows("Port"):
            port = self.random.choice(self.rows("Port"))
            port.trunks = sorted(self.random.sample(range(4096), self.random.randrange(6)))
            port.tag = [] if self.random.random() < 0.5 else [self.random.randrange(4096)]
        else:
            root.setkey("external_ids", "s%d" % self.seed, str(self.random.random()))


if sys.argv[1] == "truth":
    Truth(sys.argv[2]).run()
else:
    Peer(sys.argv[2], sys.argv[3], int(sys.argv[4])).run()
