"""A switch that is not a good one: relay.py SEED LOSS% REORDER% DELAY_MS PORT...

It joins the Ethernet interfaces that it is given. Datagrams of UDP are lost, held back until the next one of the same
pair has passed, and delayed; everything else passes. What becomes of the n-th datagram from one host to one port depends
on the seed alone. A line on standard error tells of each that was lost or held back.
"""

import heapq
import random
import select
import socket
import sys
import time

SOL_PACKET, PACKET_VNET_HDR = 263, 15  # linux/if_packet.h
OUTGOING = 4  # PACKET_OUTGOING: our own
VNET = 10  # virtio_net_hdr: carries on what the sender's kernel left to the hardware (checksums, segments)
ALL = 3  # ETH_P_ALL
HELD = 0.05  # seconds, if no other comes by
UDP = 17

seed, loss, reorder, delay = (int(word) for word in sys.argv[1:5])
names = sys.argv[5:]
ports = []
for name in names:
    port = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL))
    port.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    port.bind((name, ALL))
    ports.append(port)

where = {}  # the port of each address that has sent something
counts = {}  # of datagrams of each pair
waiting = []  # (when, order, port, frame)
held = {}  # of a pair: the frame that waits for the next one
order = 0


def is_udp(frame):
    kind = frame[12:14]
    if kind == b"\x08\x00":
        return frame[23] == UDP
    return kind == b"\x86\xdd" and frame[20] == UDP


def later(seconds, port, frame):
    global order
    order += 1
    heapq.heappush(waiting, (time.monotonic() + seconds, order, port, frame))


def send(port, frame):
    try:
        ports[port].send(frame)
    except OSError:
        pass  # nobody is there any more


def impair(source, port, frame):
    pair = (source, port)
    count = counts[pair] = counts.get(pair, 0) + 1
    dice = random.Random(f"{seed} {source.hex()} {names[port]} {count}")
    lost, late, under_way = (dice.uniform(0, limit) for limit in (100, 100, delay))
    before = held.pop(pair, None)
    if lost < loss:
        print("lost", count, "to", names[port], file=sys.stderr)
    elif late < reorder:
        print("held", count, "to", names[port], file=sys.stderr)
        held[pair] = [frame]
        later(HELD, port, held[pair])
    elif delay:
        later(under_way / 1000, port, [frame])
    else:
        send(port, frame)
    if before:
        later(under_way / 1000, port, [before.pop()])


def relay(number):
    frame, (_, _, kind, _, _) = ports[number].recvfrom(1 << 17)
    if kind == OUTGOING:
        return
    ethernet = frame[VNET:]
    target, source = ethernet[:6], ethernet[6:12]
    where[source] = number
    known = where.get(target)
    for port in [known] if known is not None else range(len(ports)):
        if port == number:
            continue
        if is_udp(ethernet):
            impair(source, port, frame)
        else:
            send(port, frame)


print("ready", file=sys.stderr)
while True:
    limit = max(0, waiting[0][0] - time.monotonic()) if waiting else None
    ready, _, _ = select.select(ports, [], [], limit)
    for port in ready:
        relay(ports.index(port))
    while waiting and waiting[0][0] <= time.monotonic():
        _, _, port, frame = heapq.heappop(waiting)
        if frame:
            send(port, frame.pop())
