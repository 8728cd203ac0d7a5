use super::*;

#[test]
fn a_folder_has_an_authority_and_two_files_an_instance() {
    let folder = tempfile::tempdir().unwrap();
    let certs = folder.path().join("certs");
    let written = Certs::new(&certs, 2).days(30).write().unwrap();
    let names: Vec<_> = written.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["ca.pem", "instance-1.pem", "instance-1.key", "instance-2.pem", "instance-2.key"]);
    let mut there: Vec<_> = std::fs::read_dir(&certs).unwrap().map(|entry| entry.unwrap().path()).collect();
    there.sort();
    let mut written = written;
    written.sort();
    assert_eq!(there, written, "and nothing else: the authority's key is kept nowhere");
}

#[cfg(unix)]
#[test]
fn keys_are_readable_by_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    for path in Certs::new(folder.path(), 1).write().unwrap() {
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        let key = path.extension().is_some_and(|extension| extension == "key");
        assert_eq!(mode & 0o077 == 0, key, "{} {mode:o}", path.display());
    }
}

#[test]
fn nothing_is_written_over() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("instance-2.key"), "mine").unwrap();
    let error = Certs::new(folder.path(), 3).write().unwrap_err();
    assert!(error.message().contains("has a file instance-2.key already"), "{error}");
    assert_eq!(std::fs::read_to_string(folder.path().join("instance-2.key")).unwrap(), "mine");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nor is anything else written");
}

#[test]
fn numbers_have_bounds() {
    let folder = tempfile::tempdir().unwrap();
    for (certs, what) in [
        (Certs::new(folder.path(), 0), "1 to 256 instances, not 0"),
        (Certs::new(folder.path(), 257), "not 257"),
        (Certs::new(folder.path(), 1).days(0), "1 to 3650 days, not 0"),
    ] {
        let error = certs.write().unwrap_err();
        assert!(error.message().contains(what), "{error}");
    }
}
