use std::path::Path;
use std::time::SystemTime;

use super::*;
use crate::link::Certs;
use crate::link::certs::Authority;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn check(peers: &Peers, expected: &[&str]) {
    let found = mistakes(peers);
    for part in expected {
        assert!(found.iter().any(|text| text.contains(part)), "expected `{part}`: {found:#?}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

fn two(folder: &Path) -> Peers {
    Peers::new(["a:7400", "b:7400"]).me("b:7400").tls(folder)
}

#[test]
fn a_network_with_its_certificates_is_fine() {
    let folder = tempfile::tempdir().unwrap();
    Certs::new(folder.path(), 2).write().unwrap();
    check(&two(folder.path()), &[]);
    check(&two(folder.path()).listen("0.0.0.0:7400"), &[]);
    check(&two(folder.path()).max_frame(1 << 20), &[]);
}

#[test]
fn all_mistakes_come_together() {
    let peers = Peers::new(["a:7400", "A:7400", "b", "c:0"])
        .me("d:7400")
        .listen("here")
        .detection(Duration::ZERO)
        .redial(Duration::from_secs(3), Duration::from_secs(2))
        .max_frame((1 << 20) - 1);
    check(
        &peers,
        &[
            "peers 1 and 2 are both",
            "peer 3, `b`, is not right: it has no port",
            "peer 4, `c:0`",
            "`d:7400`, which is not in the list of peers (a:7400, A:7400, b, c:0)",
            "the address to listen on, `here`",
            "the time to detect a loss is 0ns",
            "the longest time to redial is 2s: it has to be 3s to 1 h",
            "the longest frame (`max_frame`) is 1048575 bytes: it has to be 1 MiB",
            "nothing says where the certificates are",
        ],
    );
}

#[test]
fn somebody_has_to_be_there_and_be_one_of_them() {
    check(&Peers::new([""; 0]).plain_on_loopback_for_tests(), &["the list of peers is empty", "which of the peers"]);
}

#[test]
fn without_certificates_only_loopback_will_do() {
    let peers = Peers::new(["127.0.0.1:1", "10.0.0.1:2", "[::1]:3"]).me("127.0.0.1:1").plain_on_loopback_for_tests();
    check(&peers.listen("0.0.0.0:1"), &["`10.0.0.1:2` is not a loopback", "`0.0.0.0:1` is not a loopback"]);
}

#[test]
fn files_that_are_not_there_are_named_all_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let again = "`millstream certs new DIR --instances 2`";
    check(
        &two(folder.path()),
        &["ca.pem can't be read", "instance-2.pem can't be read", "instance-2.key can't be read"],
    );
    assert!(mistakes(&two(folder.path())).iter().all(|text| text.contains(again)));
}

#[test]
fn files_that_are_something_else_are_told() {
    let folder = tempfile::tempdir().unwrap();
    Certs::new(folder.path(), 2).write().unwrap();
    let put = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    put("ca.pem", "nothing");
    put("instance-2.pem", "-----BEGIN CERTIFICATE-----\n!\n");
    put("instance-2.key", "");
    check(
        &two(folder.path()),
        &[
            "ca.pem has no certificate in it",
            "instance-2.pem is not PEM text (it is cut off: the line `-----END CERTIFICATE-----` is missing)",
            "instance-2.key has no private key",
        ],
    );
}

#[cfg(unix)]
#[test]
fn a_key_that_others_may_read_is_a_mistake() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    Certs::new(folder.path(), 2).write().unwrap();
    let key = folder.path().join("instance-2.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).unwrap();
    check(&two(folder.path()), &["may be read by others (mode 640): `chmod 600"]);
}

/// A folder as instance 2 has it, with a certificate that holds from then until then.
fn made(name: &str, from: SystemTime, until: SystemTime) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    Certs::new(folder.path(), 2).write().unwrap();
    let authority = Authority::new(SystemTime::now() - 9 * DAY, SystemTime::now() + 9 * DAY).unwrap();
    let (certificate, key) = authority.sign(name, from, until).unwrap();
    for (file, text) in [("ca.pem", authority.pem()), ("instance-2.pem", certificate), ("instance-2.key", key)] {
        std::fs::write(folder.path().join(file), text).unwrap();
    }
    folder
}

#[test]
fn a_certificate_that_peers_would_refuse_is_a_mistake() {
    let now = SystemTime::now();
    let two_days_ago = humantime::format_rfc3339_seconds(now - 2 * DAY).to_string();
    let name = "instance-2.millstream";
    let folder = made(name, now - 3 * DAY, now - 2 * DAY);
    check(&two(folder.path()), &[&format!("instance-2.pem has expired on {two_days_ago}: make new ones")]);
    let folder = made(name, now + DAY, now + 2 * DAY);
    check(&two(folder.path()), &["instance-2.pem holds only from"]);
    let folder = made("instance-1.millstream", now - DAY, now + DAY);
    check(&two(folder.path()), &["instance-2.pem is made out to instance-1.millstream, not to instance-2.millstream"]);
    let folder = made(name, now - DAY, now + DAY);
    check(&two(folder.path()), &[]);
}

#[test]
fn files_of_two_folders_do_not_fit_together() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    Certs::new(one.path(), 2).write().unwrap();
    Certs::new(other.path(), 2).write().unwrap();
    std::fs::copy(other.path().join("instance-2.key"), one.path().join("instance-2.key")).unwrap();
    check(&two(one.path()), &["instance-2.key is not that of"]);
    std::fs::copy(other.path().join("instance-2.pem"), one.path().join("instance-2.pem")).unwrap();
    check(&two(one.path()), &["instance-2.pem is signed by a foreign authority"]);
}
