"""Asks a bridge again and again to send by another port, and sends a packet as soon as the barrier is answered.

usage: barriers.py SOCKET REPETITIONS FLOWS

It owns the far ends of the bridge's ports 1, 2 and 3: e1 sends, e2 and e3 receive. FLOWS packets are sent first,
each of which makes a flow of its own. The last line printed is the number of packets that went the old way.
"""

import os
import random
import select
import socket
import struct
import sys

HELLO, FLOW_MOD, BARRIER_REQUEST, BARRIER_REPLY = 0, 14, 18, 19
MODIFY = 1


class Controller:
    """An OpenFlow 1.0 connection."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(path)
        self.buffer = b""
        self.send(HELLO, b"")

    def send(self, kind, body):
        self.socket.sendall(struct.pack("!BBHI", 1, kind, 8 + len(body), 1) + body)

    def wait_for(self, kind):
        while True:
            while len(self.buffer) < 8 or len(self.buffer) < struct.unpack("!H", self.buffer[2:4])[0]:
                data = self.socket.recv(65536)
                assert data, "the switch has hung up"
                self.buffer += data
            length = struct.unpack("!H", self.buffer[2:4])[0]
            message, self.buffer = self.buffer[:length], self.buffer[length:]
            assert message[1] != 1, "an error: %s" % message.hex()
            if message[1] == kind:
                return

    def send_all_by(self, port):
        match = struct.pack("!I", 0x3FFFFF) + bytes(36)
        body = match + struct.pack("!QHHHHIHH", 0, MODIFY, 0, 0, 0x8000, 0xFFFFFFFF, 0xFFFF, 0)
        self.send(FLOW_MOD, body + struct.pack("!HHHH", 0, 8, port, 0))
        self.send(BARRIER_REQUEST, b"")
        self.wait_for(BARRIER_REPLY)


def device(name):
    end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88B5))
    end.bind((name, 0x88B5))
    end.setblocking(False)
    return end


def frame(flow, number):
    source = b"\x02" + flow.to_bytes(5, "big")
    return b"\x02\xff\xff\xff\xff\xff" + source + b"\x88\xb5" + number.to_bytes(4, "big") + bytes(42)


def receive(ends, number):
    """The end by which the packet comes; packets from before are passed over."""
    while True:
        ready, _, _ = select.select(ends, [], [], 10)
        assert ready, "packet %d was lost" % number
        for end in ready:
            if end.recv(2048)[14:18] == number.to_bytes(4, "big"):
                return ends.index(end)


def main():
    path, repetitions, flows = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    controller = Controller(path)
    sender, ends = device("e1"), [device("e2"), device("e3")]
    controller.send_all_by(2)
    for flow in range(flows):
        sender.send(frame(flow, flow))
        if flow % 32 == 0 or flow == flows - 1:
            # No faster than flows are made, or packets are lost before they make one.
            receive(ends, flow)
    random.seed(os.getpid())
    stale = 0
    for repetition in range(repetitions):
        wanted = (repetition + 1) % 2
        controller.send_all_by(2 + wanted)
        number = flows + repetition
        sender.send(frame(random.randrange(flows), number))
        stale += receive(ends, number) != wanted
    print(stale)


main()
