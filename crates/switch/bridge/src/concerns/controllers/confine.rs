//! Which Unix sockets the database may make the switch use.
//!
//! Whoever can write the database, perhaps from another machine, must not be
//! able to have any file of this one overwritten by a listening socket, or any
//! service behind a socket connected to. Unless the daemon was started with
//! `--no-self-confinement`, a controller's socket must lie in the run directory.

use std::path::Path;

/// Why `target` cannot be a controller of `bridge`; nothing when it can.
pub(crate) fn refusal(target: &str, bridge: &str, rundir: &Path) -> Option<String> {
    let rundir = rundir.display();
    let instead = format!(
        "connect to \"unix:{rundir}/{bridge}.mgmt\" (which is always available without special configuration)."
    );
    if let Some(path) = target.strip_prefix("punix:") {
        let allowed = format!("{rundir}/{bridge}.");
        let is_allowed = collapse(path).strip_prefix(&allowed).is_some_and(|rest| !rest.contains('/'));
        return (!is_allowed).then(|| {
            format!(
                "bridge {bridge}: Not adding Unix domain socket controller \"{target}\" due to possibility of \
                 overwriting local files. Instead, specify path in permitted format \"punix:{allowed}*\" or {instead}"
            )
        });
    }
    let path = target.strip_prefix("unix:")?;
    let allowed = format!("{rundir}/");
    let path = collapse(path);
    let is_inside = path.starts_with(&allowed) && !path.split('/').any(|part| part == "..");
    (path.contains('/') && !is_inside).then(|| {
        format!(
            "bridge {bridge}: Not connecting to socket controller \"{target}\" due to possibility for remote \
             exploit.  Instead, specify socket in permitted directory \"unix:{allowed}\" or {instead}"
        )
    })
}

/// The path with runs of slashes made one.
fn collapse(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for c in path.chars() {
        if c != '/' || !out.ends_with('/') {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_must_lie_in_the_run_directory() {
        let refused = |target| refusal(target, "br0", Path::new("/run/ovs")).is_some();
        assert!(!refused("tcp:192.0.2.1:6653"));
        assert!(!refused("punix:/run/ovs/br0.controller"));
        assert!(!refused("punix:/run//ovs/br0.controller"));
        assert!(!refused("unix:/run/ovs/controller"));
        assert!(!refused("unix:controller"));
        assert!(refused("punix:/run/ovs/br1.controller"));
        assert!(refused("punix:/run/ovs/br0.x/../../../etc/passwd"));
        assert!(refused("punix:controller"));
        assert!(refused("unix:/run/ovs/../docker.sock"));
        assert!(refused("unix:/run/docker.sock"));
    }

    #[test]
    fn the_refusal_says_what_is_allowed() {
        let text = refusal("punix:/etc/passwd", "br0", Path::new("/run/ovs")).unwrap();
        assert_eq!(
            text,
            "bridge br0: Not adding Unix domain socket controller \"punix:/etc/passwd\" due to possibility of \
             overwriting local files. Instead, specify path in permitted format \"punix:/run/ovs/br0.*\" or connect \
             to \"unix:/run/ovs/br0.mgmt\" (which is always available without special configuration)."
        );
    }
}
