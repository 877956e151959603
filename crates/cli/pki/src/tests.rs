use rpc::program::Stop;

use super::*;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

struct World {
    dir: tempfile::TempDir,
    now: SystemTime,
}

impl World {
    fn new() -> World {
        let world = World { dir: tempfile::tempdir().unwrap(), now: SystemTime::now() };
        world.run("init").unwrap();
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs a command; `@` stands for the directory, in which names are.
    fn run(&self, line: &str) -> Result<ExitCode> {
        let dir = self.dir.path().display().to_string();
        let line = format!("--dir={dir}/pki --log={dir}/log -b {}", line.replace('@', &format!("{dir}/")));
        match options::parse(line.split_whitespace().map(str::to_owned).collect()) {
            Ok(options) => run(&options, self.now),
            Err(Stop::Fail(text) | Stop::Print(text)) => Err(text),
        }
    }

    fn refused(&self, line: &str) -> String {
        let dir = format!("{}/", self.dir.path().display());
        self.run(line).unwrap_err().replace(&dir, "@")
    }

    fn verdict(&self, line: &str) -> bool {
        format!("{:?}", self.run(line).unwrap()) == format!("{:?}", ExitCode::SUCCESS)
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn an_authority_signs_for_its_own_kind() {
    let world = World::new();
    world.run("req+sign @sc switch").unwrap();
    assert_eq!(mode(&world.path("sc-privkey.pem")), 0o600);
    assert_eq!(mode(&world.path("pki/switchca/private")), 0o700);
    assert!(world.verdict("verify @sc"));
    assert!(!world.verdict("verify @sc controller"));
    world.run("req @ctl").unwrap();
    world.run("sign @ctl controller").unwrap();
    assert!(world.verdict("verify @ctl controller") && !world.verdict("verify @ctl switch"));
    // Both certificates of the authority for switches, its own and the one that it signed.
    let index = std::fs::read_to_string(world.path("pki/switchca/index.txt")).unwrap();
    assert_eq!(index.lines().count(), 2, "{index}");
    assert!(
        index.lines().nth(1).unwrap().contains("/O=Open vSwitch/OU=Open vSwitch certifier/CN="),
        "{index}"
    );
    assert_eq!(std::fs::read_dir(world.path("pki/switchca/newcerts")).unwrap().count(), 2);
}

#[test]
fn a_certificate_ends() {
    let mut world = World::new();
    world.run("req+sign @sc").unwrap();
    world.now += authority::LIFE + std::time::Duration::from_secs(60);
    assert!(!world.verdict("verify @sc"));
}

#[test]
fn a_request_may_be_signed_by_its_own_key() {
    let world = World::new();
    world.run("--unique req @self").unwrap();
    world.run("self-sign @self").unwrap();
    let text = std::fs::read_to_string(world.path("self-cert.pem")).unwrap();
    assert!(inspect::subject_of(&text).unwrap().ends_with("self"));
    assert!(!world.verdict("verify @self"));
    assert_eq!(
        inspect::verify(&world.path("self-cert.pem"), &world.path("self-cert.pem"), world.now),
        Ok(None)
    );
}

#[test]
fn nothing_is_overwritten_unless_forced() {
    let world = World::new();
    world.run("req+sign @sc").unwrap();
    assert_eq!(world.refused("init"), "@pki already exists and --force not specified");
    assert_eq!(world.refused("req @sc"), "@sc-privkey.pem already exists and --force not supplied");
    assert_eq!(world.refused("sign @sc"), "@sc-cert.pem already exists and --force not supplied");
    world.run("--force req+sign @sc").unwrap();
    assert!(world.verdict("verify @sc"));
}

#[test]
fn mistakes_are_one_line_each() {
    let world = World::new();
    assert_eq!(world.refused("sign @none"), "@none-req.pem: No such file or directory");
    assert_eq!(world.refused("verify @none"), "@none-cert.pem does not exist");
    assert_eq!(world.refused("req"), "req must have exactly one argument; use --help for help");
    assert_eq!(world.refused("sign"), "sign must have one or two arguments; use --help for help");
    assert_eq!(world.refused("sign a hub"), "type argument must be 'switch' or 'controller'");
    assert_eq!(world.refused("frob"), "frob command unknown; use --help for help");
    assert_eq!(world.refused("sign a b c"), "c: only two arguments may be specified");
    assert_eq!(world.refused("--frob init"), "unrecognized option --frob");
    assert_eq!(world.refused("-B 1024 init"), "ovs-pki: argument to -B or --bits must be at least 2048");
    assert_eq!(world.refused("-k xyz init"), "ovs-pki: argument to -k or --key must be rsa or dsa");
    assert_eq!(
        world.refused("--dir=/nonexistent/pki req+sign @new"),
        "/nonexistent/pki does not exist (need to run 'init' or use '--dir'?)"
    );
    std::fs::write(
        world.path("bad-req.pem"),
        "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
    )
    .unwrap();
    assert_eq!(
        world.refused("sign @bad"),
        "@bad-req.pem: there is no certificate request in it that can be read (PEM)"
    );
    assert!(!world.path("bad-cert.pem").exists());
}
