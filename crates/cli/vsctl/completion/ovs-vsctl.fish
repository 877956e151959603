# Completion of ovs-vsctl for fish. Install as /usr/share/fish/vendor_completions.d/ovs-vsctl.fish.
function __ovs_vsctl_complete
    set -l words (commandline -opc)
    ovs-vsctl --complete $words[2..-1] (commandline -ct) 2>/dev/null
end
complete -c ovs-vsctl -f -a '(__ovs_vsctl_complete)'
