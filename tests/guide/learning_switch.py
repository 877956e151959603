"""A learning switch on os-ken, as textbooks have it, for OpenFlow 1.0 and 1.3.

It trusts the switch to send whole packets: what arrives is what it sends back.
Run it with `python3 learning_switch.py PORT`.
"""

import sys

from os_ken.base import app_manager
from os_ken.controller import ofp_event
from os_ken.controller.handler import CONFIG_DISPATCHER, MAIN_DISPATCHER, set_ev_cls
from os_ken.lib.packet import ethernet, packet
from os_ken.ofproto import ofproto_v1_0, ofproto_v1_3

NO_BUFFER = 0xFFFFFFFF


class LearningSwitch(app_manager.OSKenApp):
    OFP_VERSIONS = [ofproto_v1_0.OFP_VERSION, ofproto_v1_3.OFP_VERSION]

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.ports = {}

    @set_ev_cls(ofp_event.EventOFPSwitchFeatures, CONFIG_DISPATCHER)
    def connected(self, event):
        datapath = event.msg.datapath
        proto, parser = datapath.ofproto, datapath.ofproto_parser
        if proto.OFP_VERSION == ofproto_v1_0.OFP_VERSION:
            return
        to_controller = parser.OFPActionOutput(proto.OFPP_CONTROLLER, 128)
        rule = parser.OFPInstructionActions(proto.OFPIT_APPLY_ACTIONS, [to_controller])
        datapath.send_msg(parser.OFPFlowMod(datapath, priority=0, match=parser.OFPMatch(), instructions=[rule]))

    @set_ev_cls(ofp_event.EventOFPPacketIn, MAIN_DISPATCHER)
    def packet_in(self, event):
        message = event.msg
        datapath = message.datapath
        proto, parser = datapath.ofproto, datapath.ofproto_parser
        is_old = proto.OFP_VERSION == ofproto_v1_0.OFP_VERSION
        in_port = message.in_port if is_old else message.match["in_port"]
        header = packet.Packet(message.data).get_protocol(ethernet.ethernet)
        known = self.ports.setdefault(datapath.id, {})
        known[header.src] = in_port
        out_port = known.get(header.dst, proto.OFPP_FLOOD)
        actions = [parser.OFPActionOutput(out_port)]
        if out_port != proto.OFPP_FLOOD:
            self.add_rule(datapath, in_port, header.dst, actions)
        data = message.data if message.buffer_id == NO_BUFFER else None
        datapath.send_msg(
            parser.OFPPacketOut(
                datapath=datapath, buffer_id=message.buffer_id, in_port=in_port, actions=actions, data=data
            )
        )

    def add_rule(self, datapath, in_port, destination, actions):
        proto, parser = datapath.ofproto, datapath.ofproto_parser
        if proto.OFP_VERSION == ofproto_v1_0.OFP_VERSION:
            match = parser.OFPMatch(in_port=in_port, dl_dst=destination)
            datapath.send_msg(
                parser.OFPFlowMod(
                    datapath=datapath,
                    match=match,
                    cookie=0,
                    command=proto.OFPFC_ADD,
                    idle_timeout=60,
                    hard_timeout=0,
                    priority=1,
                    actions=actions,
                )
            )
            return
        match = parser.OFPMatch(in_port=in_port, eth_dst=destination)
        rule = parser.OFPInstructionActions(proto.OFPIT_APPLY_ACTIONS, actions)
        datapath.send_msg(
            parser.OFPFlowMod(datapath, priority=1, idle_timeout=60, match=match, instructions=[rule])
        )


if __name__ == "__main__":
    from os_ken import cfg

    cfg.CONF(["--ofp-listen-host", "127.0.0.1", "--ofp-tcp-listen-port", sys.argv[1]], project="os_ken")
    app_manager.AppManager.run_apps(["os_ken.controller.ofp_handler", "learning_switch"])
