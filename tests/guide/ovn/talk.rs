//! What guests say to each other, over IPv4 and IPv6.

/// Answers each connection at port 80, and each datagram at port 53, with its own name, the address that it came from, and the
/// datagram's length.
pub(super) const SERVE: &str = "
import socket, socketserver, sys, threading
name = sys.argv[1]
def plain(address):
    return address.replace('::ffff:', '')
class Talk(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(('%s %s\\n' % (name, plain(self.client_address[0]))).encode())
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    address_family = socket.AF_INET6
    request_queue_size = 50
threading.Thread(target=Server(('::', 80), Talk).serve_forever, daemon=True).start()
datagrams = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
datagrams.bind(('::', 53))
while True:
    data, peer = datagrams.recvfrom(9000)
    datagrams.sendto(('%s %s %d' % (name, plain(peer[0]), len(data))).encode(), peer)
";

/// Asks an address, once or some times, and shows what comes back: the answer, or the error.
pub(super) const ASK: &str = "
import socket, sys
how, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
family = socket.AF_INET6 if ':' in address else socket.AF_INET
for _ in range(int(sys.argv[-1]) if 'x' in sys.argv else 1):
    try:
        if how == 'udp':
            s = socket.socket(family, socket.SOCK_DGRAM)
            s.settimeout(5)
            s.connect((address, port))
            s.send(b'x' * int(sys.argv[4]))
            print(s.recv(100).decode())
        else:
            s = socket.create_connection((address, port), 5)
            print(s.makefile().readline().strip())
    except TimeoutError:
        print('nothing')
    except OSError as e:
        print(e.strerror)
";
