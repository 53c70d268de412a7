//! The secret that keys are derived from: made once, readable by its owner alone, never shown.

use std::env;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Bytes of a secret made here; fewer are refused.
const SIZE: usize = 32;
/// Any more is not a secret but some other file.
const MAX_SIZE: u64 = 4_096;

/// The secret of the given file, else of the default one; made when there is none.
pub(super) fn read(file: Option<&Path>) -> Result<Vec<u8>, String> {
    let path = file.map_or_else(default, |file| Ok(file.to_owned()))?;
    let failed = |error: &io::Error| format!("--secret-file: {}", unusable(&path, error));
    if !path.try_exists().map_err(|error| failed(&error))? {
        create(&path).map_err(|error| failed(&error))?;
    }
    check(&path).map_err(|problem| format!("--secret-file: {problem}"))
}

/// The secret of the file that was in use before; never made.
pub(super) fn previous(path: &Path) -> Result<Vec<u8>, String> {
    check(path).map_err(|problem| format!("--previous-secret-file: {problem}"))
}

/// The folder of the secret, where whatever else outlives the process is kept.
pub(super) fn folder(file: Option<&Path>) -> Option<PathBuf> {
    let path = file.map_or_else(|| default().ok(), |file| Some(file.to_owned()))?;
    path.parent().map(Path::to_owned)
}

fn unusable(path: &Path, error: &io::Error) -> String {
    format!(
        "{} cannot be used ({error}); give a file you may read and write",
        path.display()
    )
}

fn check(path: &Path) -> Result<Vec<u8>, String> {
    let problem = |what: String, fix: &str| format!("{} {what}; {fix}", path.display());
    let failed = |error: &io::Error| unusable(path, error);
    let file = File::open(path).map_err(|error| failed(&error))?;
    let metadata = file.metadata().map_err(|error| failed(&error))?;
    if !metadata.is_file() {
        return Err(problem("is not a file".into(), "give the path of a file"));
    }
    let mode = metadata.mode() & 0o777;
    if mode & 0o007 != 0 {
        return Err(problem(
            format!("is open to everybody (mode {mode:04o})"),
            &format!("run chmod 600 {}", path.display()),
        ));
    }
    let mut secret = Vec::new();
    file.take(MAX_SIZE + 1)
        .read_to_end(&mut secret)
        .map_err(|error| failed(&error))?;
    match secret.len() {
        0..SIZE => Err(problem(
            format!("holds {} bytes, at least {SIZE} are needed", secret.len()),
            "remove it and a new one is made; answers stored with it are lost",
        )),
        length if length as u64 > MAX_SIZE => {
            Err(problem(format!("is over {MAX_SIZE} bytes"), "give a file of 32 bytes"))
        }
        _ => Ok(secret),
    }
}

fn default() -> Result<PathBuf, String> {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")));
    let state = state.ok_or("--secret-file: neither XDG_STATE_HOME nor HOME is set; give the file")?;
    Ok(state.join("llmcache/secret"))
}

/// Writes a new secret beside the path and links it there, so that nobody ever reads half of one.
fn create(path: &Path) -> io::Result<()> {
    let mut secret = [0; SIZE];
    getrandom::fill(&mut secret).map_err(io::Error::other)?;
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let draft = path.with_extension(format!("{}.new", std::process::id()));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)?;
    let linked = file
        .write_all(&secret)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::hard_link(&draft, path));
    fs::remove_file(&draft)?;
    match linked {
        // Another process was first: its secret is the one to read.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn secret_is_made_once_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/state/secret");
        let first = read(Some(&path)).unwrap();
        assert_eq!(first.len(), SIZE);
        assert_ne!(first, [0; SIZE]);
        assert_eq!(read(Some(&path)).unwrap(), first);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let folder = path.parent().unwrap();
        assert_eq!(fs::metadata(folder).unwrap().mode() & 0o777, 0o700);
        assert_eq!(fs::read_dir(folder).unwrap().count(), 1, "no draft is left");
    }

    #[test]
    fn open_short_and_wrong_files_are_refused_with_a_fix() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let write = |bytes: &[u8], mode| {
            fs::write(&path, bytes).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            read(Some(&path))
        };
        assert!(
            write(&[7; 32], 0o644)
                .unwrap_err()
                .contains("(mode 0644); run chmod 600 ")
        );
        assert!(
            write(&[7; 31], 0o600)
                .unwrap_err()
                .contains("holds 31 bytes, at least 32")
        );
        assert!(write(&[7; 4_097], 0o600).unwrap_err().contains("is over 4096 bytes"));
        assert_eq!(write(&[7; 4_096], 0o440), Ok(vec![7; 4_096]));
        assert!(read(Some(folder.path())).unwrap_err().contains("is not a file"));
    }
}
