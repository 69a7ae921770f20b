//! Files that are replaced as a whole: whoever reads one sees the old content or the new one, also after a crash.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Result, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// What only its owner may read.
const OWN: u32 = 0o600;

/// Writes a file that keeps the permissions it has.
pub(crate) fn replace(path: &Path, content: &str) -> Result<()> {
    let permissions = fs::metadata(path)?.permissions();
    write(path, content, permissions)
}

/// Writes a file that only its owner may read.
pub(crate) fn replace_secret(path: &Path, content: &str) -> Result<()> {
    write(path, content, Permissions::from_mode(OWN))
}

fn write(path: &Path, content: &str, permissions: Permissions) -> Result<()> {
    // Through a link, not in its place.
    let path = match path.canonicalize() {
        Err(error) if error.kind() == ErrorKind::NotFound => path.to_owned(),
        real => real?,
    };
    let unfinished = unfinished(&path);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(OWN).open(&unfinished)?;
    // One that was left by a run that was killed may have others.
    file.set_permissions(permissions)?;
    file.write_all(content.as_bytes())?;
    file.sync_all()?;
    fs::rename(&unfinished, &path)?;
    // Else the rename could be lost with the machine's power.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// Where the new content is until it is complete. .gitignore knows the name.
fn unfinished(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.adtrail"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("adtrail-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_secret_is_its_owners_even_after_a_run_that_was_killed() {
        let folder = folder("secret");
        let path = folder.join("secret.json");
        fs::write(unfinished(&path), "half").unwrap();
        fs::set_permissions(unfinished(&path), Permissions::from_mode(0o644)).unwrap();
        replace_secret(&path, "{}").unwrap();
        assert_eq!((fs::read_to_string(&path).unwrap().as_str(), mode(&path)), ("{}", 0o600));
        assert!(!unfinished(&path).exists());
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn another_file_keeps_its_permissions_and_the_links_to_it() {
        let folder = folder("config");
        let (path, link) = (folder.join("samconfig.toml"), folder.join("link"));
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        replace(&link, "new").unwrap();
        assert_eq!((fs::read_to_string(&path).unwrap().as_str(), mode(&path)), ("new", 0o640));
        assert!(link.is_symlink());
        fs::remove_dir_all(folder).unwrap();
    }
}
