#!/bin/busybox sh
# The first process of a guest in which two switches, ours and the reference's, each in a network namespace of its own, are
# asked for the same quality of service. It prints a line per trial: "PASS what" or "FAIL what", with both sides.
/bin/busybox mkdir -p /proc /sys /dev /run /tmp /etc /var
/bin/busybox --install -s /bin
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
while read -r module; do insmod "/modules/$module"; done < /modules/order
[ -e /dev/net/tun ] || { mkdir -p /dev/net; mknod /dev/net/tun c 10 200; }

# The shell would take its own ip and tc instead.
ip() { /sbin/ip "$@"; }

say() { echo "$*" > /dev/console; }
# A program of one of the two, in its namespace.
by() {
    who=$1
    shift
    [ "$who" = ours ] && programs=/programs: || programs=
    dir=/run/$who
    PATH=$programs$PATH OVS_RUNDIR=$dir OVS_DBDIR=$dir OVS_LOGDIR=$dir ip netns exec "$who" "$@"
}
both() { for one in ours theirs; do by $one "$@" || say "FAIL $one: $*"; done; }
# What both show is the same.
same() {
    what=$1
    shift
    for one in ours theirs; do by $one sh -c "$*" > /tmp/$one 2>&1; done
    if cmp -s /tmp/ours /tmp/theirs && [ -s /tmp/ours ]; then
        say "PASS $what"
    else
        say "FAIL $what: $(tr '\n' ' ' < /tmp/ours) AND $(tr '\n' ' ' < /tmp/theirs)"
    fi
}
shows() {
    what=$1
    shift
    by ours /sbin/tc -d qdisc show dev p > /tmp/ours
    if grep -q "$*" /tmp/ours; then say "PASS $what"; else say "FAIL $what: $(tr '\n' ' ' < /tmp/ours)"; fi
}
vsctl() { both ovs-vsctl --timeout=60 "$@" > /dev/null; }
set_qos() {
    type=$1
    shift
    vsctl set port p qos=@q -- --id=@q create QoS "type=$type" "$@"
    same "tc shows the same of $type $*" \
        "/sbin/tc -d qdisc show dev p | grep -v -e clsact -e ingress; /sbin/tc -d class show dev p | sort"
}
ask() {
    set_qos "$@"
    same "qos/show shows the same of $*" "ovs-appctl qos/show p"
}

for one in ours theirs; do
    mkdir -p /run/$one
    ip netns add $one
    # Nothing is sent unasked, which counters would show.
    by $one sh -c 'echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6'
    by $one ip link set lo up
    by $one ip link add name p type veth peer name w
    by $one ip link set p up
    by $one ip link set w up
done
by ours ovsdb-tool create /run/ours/conf.db
by theirs ovsdb-tool create /run/theirs/conf.db /usr/share/openvswitch/vswitch.ovsschema
for one in ours theirs; do
    by $one ovsdb-server /run/$one/conf.db --remote=punix:/run/$one/db.sock --pidfile --detach --log-file
    by $one ovs-vsctl --no-wait init
    by $one ovs-vswitchd --pidfile --detach --log-file
done
vsctl add-br br0 -- set bridge br0 datapath_type=netdev -- add-port br0 p

ask linux-htb
ask linux-htb other_config:max-rate=8000000 queues:1=@a -- --id=@a create Queue other_config:min-rate=800000 other_config:priority=3 other_config:burst=200000
ask linux-hfsc other_config:max-rate=8000000 queues:1=@a queues:9=@b -- --id=@a create Queue other_config:min-rate=800000 -- --id=@b create Queue other_config:min-rate=80000 other_config:max-rate=1600000
ask linux-sfq
ask linux-codel
ask linux-noop
ask linux-sfq other_config:perturb=7 other_config:quantum=3000
# Debian's reference knows no jitter.
set_qos linux-netem
ask linux-codel other_config:target=7000 other_config:limit=500 other_config:interval=200000
ask linux-fq_codel
set_qos linux-netem other_config:latency=20000 other_config:loss=7 other_config:limit=77
ask linux-fq_codel other_config:target=7000 other_config:limit=500 other_config:interval=200000 other_config:flows=64 other_config:quantum=300
vsctl clear port p qos
same "nothing is left" "/sbin/tc qdisc show dev p | grep -v -e clsact -e ingress"

# The reference would leave these as they were until the type changes.
ours() { by ours ovs-vsctl --timeout=60 "$@" > /dev/null || say "FAIL $*"; }
ours set port p qos=@q -- --id=@q create QoS type=linux-netem other_config:latency=20000 other_config:jitter=3000
shows "a jitter is in force" "delay 20ms  *3ms"
qos=$(by ours ovs-vsctl get port p qos)
ours set qos "$qos" other_config:latency=30000
shows "a changed latency is in force" "delay 30"
ours set qos "$qos" type=linux-fq_codel other_config:flows=64
ours set qos "$qos" other_config:flows=128
shows "a changed number of flows is in force" "flows 128"
say DONE
/bin/busybox poweroff -f
