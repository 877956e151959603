#!/bin/busybox sh
# The first process of a guest: a server with a switch and four VMs. The kernel's command line says which one ("server=a").
#
# Each of its two NICs is the uplink of a bridge of its own: ovsbr0 has the virtio one, ovsbr1 the e1000 one. Bridge N
# has ports of the VMs vmN1 (access VLAN 1) and vmN2 (access VLAN 2); their addresses end in 1 and 2 on server a, in 3 and
# 4 on server b. Server b serves; server a tries everything and prints a line per trial: "PASS what" or "FAIL what".
/bin/busybox mkdir -p /proc /sys /dev /run /tmp /etc /var
/bin/busybox --install -s /bin
export PATH=/usr/sbin:/usr/bin:/sbin:/bin:/programs
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
while read -r module; do insmod "/modules/$module"; done < /modules/order
[ -e /dev/net/tun ] || { mkdir -p /dev/net; mknod /dev/net/tun c 10 200; }
/sbin/ip link set lo up
server=$(sed 's/.*server=\(.\).*/\1/' /proc/cmdline)
[ "$server" = a ] && first=1 || first=3

# The shell would take its own instead.
ip() { /sbin/ip "$@"; }
ping() { /bin/ping "$@"; }

say() { echo "$*" > /dev/console; }
try() {
    what=$1
    shift
    if "$@" > /tmp/said 2>&1; then say "PASS $what"; else say "FAIL $what: $* ($?): $(tail -c 400 /tmp/said | tr '\n' ' ')"; fi
}
refuse() {
    what=$1
    shift
    if "$@" > /tmp/said 2>&1; then say "FAIL $what: $* succeeded"; else say "PASS $what"; fi
}
in_vm() {
    name=$1
    shift
    ip netns exec "$name" "$@"
}

mkdir -p /run/openvswitch
export OVS_RUNDIR=/run/openvswitch OVS_DBDIR=/etc OVS_LOGDIR=/tmp
try "the database is made" ovsdb-tool create /etc/conf.db
try "the database starts" ovsdb-server /etc/conf.db --remote=punix:/run/openvswitch/db.sock --pidfile --detach --log-file
try "the database is initialized" ovs-vsctl --no-wait init
try "the switch starts" ovs-vswitchd --pidfile --detach --log-file

for bridge in 0 1; do
    ip link set "eth$bridge" up
    try "bridge $bridge" ovs-vsctl --timeout=60 add-br "ovsbr$bridge" -- add-port "ovsbr$bridge" "eth$bridge"
    for vlan in 1 2; do
        vm=vm$bridge$vlan
        number=$((first + vlan - 1))
        ip netns add "$vm"
        ip link add "tap$bridge.$vlan" type veth peer name eth0 netns "$vm"
        ip link set "tap$bridge.$vlan" up
        in_vm "$vm" ip link set lo up
        in_vm "$vm" ip link set eth0 up
        in_vm "$vm" ip addr add "10.$bridge.0.$number/16" dev eth0
        in_vm "$vm" ip addr add "fd0$bridge::$number/64" dev eth0 nodad
        try "port of $vm" ovs-vsctl --timeout=60 add-port "ovsbr$bridge" "tap$bridge.$vlan" "tag=$vlan"
    done
    ip addr add "172.16.$bridge.$first/24" dev "ovsbr$bridge"
    ip link set "ovsbr$bridge" up
done
ovs-vsctl show > /dev/console

if [ "$server" = b ]; then
    for bridge in 0 1; do
        for vlan in 1 2; do in_vm "vm$bridge$vlan" iperf3 -s -D > /dev/null 2>&1; done
    done
    iperf3 -s -D > /dev/null 2>&1
    say READY
    while :; do sleep 1000; done
fi

# The other server may still be starting: its pings are awaited, for a while.
awaits() {
    tries=0
    until "$@" > /dev/null 2>&1; do
        tries=$((tries + 1))
        [ "$tries" -lt 60 ] || return 1
    done
}
# iperf3 counts what the receiver of UDP has lost; the emulated wire may lose some, not most.
udp() {
    in_vm "$1" timeout 110 iperf3 -u -b 4M -l 1400 -n 200K -c "$2" $3 > /tmp/udp 2>&1 || { cat /tmp/udp; return 1; }
    cat /tmp/udp
    lost=$(sed -n 's/.*(\([0-9.]*\)%).*receiver.*/\1/p' /tmp/udp | cut -d. -f1)
    [ "${lost:-100}" -lt 20 ]
}
ovs-vsctl --timeout=60 -- --id=@s create sflow agent=lo target=\"127.0.0.1:6343\" sampling=16 polling=1 -- set bridge ovsbr0 sflow=@s
sflowtool -p 6343 -l > /tmp/sflow 2>&1 &
for bridge in 0 1; do
    nic=$(basename "$(readlink /sys/class/net/eth$bridge/device/driver)")
    try "$nic: VM 3 answers VM 1" awaits in_vm "vm${bridge}1" ping -c 1 -W 1 "10.$bridge.0.3"
    try "$nic: VM 4 answers VM 2" awaits in_vm "vm${bridge}2" ping -c 1 -W 1 "10.$bridge.0.4"
    refuse "$nic: VM 4 does not answer VM 1" in_vm "vm${bridge}1" ping -c 2 -W 1 "10.$bridge.0.4"
    refuse "$nic: VM 3 does not answer VM 2" in_vm "vm${bridge}2" ping -c 2 -W 1 "10.$bridge.0.3"
    try "$nic: VM 3 answers VM 1 over IPv6" awaits in_vm "vm${bridge}1" ping -6 -c 1 -W 1 "fd0$bridge::3"
    for address in "10.$bridge.0.3" "fd0$bridge::3"; do
        try "$nic: TCP to $address" in_vm "vm${bridge}1" timeout 110 iperf3 -n 2M -c "$address"
        try "$nic: TCP from $address" in_vm "vm${bridge}1" timeout 110 iperf3 -n 2M -R -c "$address"
        try "$nic: UDP to $address" udp "vm${bridge}1" "$address"
        try "$nic: UDP from $address" udp "vm${bridge}1" "$address" -R
    done
    try "$nic: the bridge's own port answers" awaits ping -c 1 -W 1 "172.16.$bridge.3"
    try "$nic: TCP to the bridge's own port" timeout 110 iperf3 -n 2M -c "172.16.$bridge.3"
    try "$nic: TCP from the bridge's own port" timeout 110 iperf3 -n 2M -R -c "172.16.$bridge.3"
    try "$nic: one answer to a ping" sh -c "/bin/ping -c 3 -i 0.2 172.16.$bridge.3 > /tmp/p; cat /tmp/p; ! grep -q -e DUP -e duplicates /tmp/p"
done
# Of the other bridge all packets may be sampled.
in_vm vm11 timeout 100 iperf3 -t 90 -c 10.1.0.3 > /dev/null 2>&1 &
try "the kernel forwards what is hot" awaits sh -c "sleep 0.3; ovs-appctl dpctl/dump-flows -m type=offloaded | grep -q offloaded:yes"
kill $!
try "sFlow has samples of the VMs" awaits grep -q '^FLOW,.*10.0.0.1,10.0.0.3' /tmp/sflow
try "sFlow has counters" awaits grep -q '^CNTR,' /tmp/sflow
try "no packet was lost to an error of ours" sh -c '! grep -e "internal error" -e panicked /tmp/ovs-vswitchd.log'
grep -e WARN -e ERR /tmp/ovs-vswitchd.log > /dev/console
try "the switch ends" ovs-appctl exit
# Its hosts have an eth0 each, as this server has.
try "the demo comes out" ovs demo
say DONE
poweroff -f
