# Completion of ovs-vsctl for bash. Install as /usr/share/bash-completion/completions/ovs-vsctl.
_ovs_vsctl_complete() {
    local line words
    # Words as the shell passes them, not as readline cuts them at ":" and "=".
    line=${COMP_LINE:0:$COMP_POINT}
    read -ra words <<< "$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    local word=${words[-1]} current=${COMP_WORDS[COMP_CWORD]}
    [[ $current == [:=] ]] && current=""
    local before=${word%"$current"}
    COMPREPLY=()
    local candidate
    while IFS= read -r candidate; do
        COMPREPLY+=("${candidate#"$before"}")
    done < <(ovs-vsctl --complete "${words[@]:1}" 2>/dev/null)
    [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *[=:] ]] && compopt -o nospace
}
complete -F _ovs_vsctl_complete ovs-vsctl
