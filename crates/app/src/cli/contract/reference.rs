//! What contracts are held against: a folder, or the same folder at a git reference. Git is asked
//! through its own command and by object names only, so that nothing of the working tree, no filter
//! and no hook has a say; a repository is read, never written.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tidegate_contract::{Contracts, load};

use crate::cli::failure::{Exit, Failure};

/// A schema file at most; contract files are smaller still.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;
const MAX_FILES: usize = 20_000;

/// Reads the contracts that `reference` means: the folder of this name, or `folder` at that commit.
///
/// # Errors
/// `Usage` if it is neither; `Failed` if the contracts there cannot be used.
pub(super) fn contracts(reference: &str, folder: &Path) -> Result<Contracts, Failure> {
    let path = Path::new(reference);
    if path.is_dir() {
        return load::folder(path).map_err(|found| unusable(reference, &found));
    }
    let git = Git::of(reference, folder)?;
    let commit = git.commit(reference)?;
    let files = git.files(&commit)?;
    let mut texts = Vec::new();
    for file in &files {
        let path = &file.path;
        let is_contract = path.ends_with(".yaml") || path.ends_with(".yml");
        let inside = path.strip_prefix(&git.prefix).unwrap_or(path);
        let hidden = inside.split('/').any(|part| part.starts_with('.'));
        if is_contract && !hidden {
            texts.push((git.shown(path), git.text(&commit, file)?));
        }
    }
    // Schemas are asked for without the `.` that a folder's name may have.
    let known: HashMap<String, &File> = files
        .iter()
        .map(|file| (without_dots(&git.shown(&file.path)), file))
        .collect();
    let find = |name: &str| git.text(&commit, known.get(name)?).ok();
    load::sources(&texts, &find).map_err(|found| unusable(reference, &found))
}

/// Completes a set by what stands at the reference and has no kind of document in it: readers live in
/// folders of their own. A git reference is the same folder at another time, so what it lacks is gone.
pub(super) fn complete(reference: &str, old: &Contracts, new: &Contracts) -> Contracts {
    match Path::new(reference).is_dir() {
        true => new.completed_by(old),
        false => new.clone(),
    }
}

fn unusable(reference: &str, found: &load::Diagnostics) -> Failure {
    let first = found.iter().next().map(ToString::to_string);
    let text = first.unwrap_or_default();
    let message = format!("the contracts at `{reference}` cannot be used: {text}");
    Failure::new(Exit::Failed, message)
        .with_hint("compare with a state whose contracts pass `contract lint`")
}

/// A file of a commit.
struct File {
    /// From the repository's root.
    path: String,
    bytes: u64,
}

struct Git {
    /// The repository's root.
    top: PathBuf,
    /// The folder inside it, with `/`; empty for the root.
    prefix: String,
    /// The folder as it was given.
    folder: String,
}

impl Git {
    /// Finds the repository that a folder is in.
    fn of(reference: &str, folder: &Path) -> Result<Self, Failure> {
        let nowhere = |what: &str| {
            Failure::new(
                Exit::Usage,
                format!("`{reference}` is no folder, and {what}"),
            )
            .with_hint("name a folder of contracts, or run this in the git repository they are in")
        };
        let real = folder.canonicalize();
        let real = real.map_err(|error| {
            let message = format!("cannot read `{}`: {error}", folder.display());
            Failure::new(Exit::Usage, message)
        })?;
        let asked = run(&real, &["rev-parse", "--show-toplevel"]);
        let asked = asked.map_err(|error| nowhere(&format!("git cannot be run: {error}")))?;
        if !asked.status.success() {
            let why = line(&asked.stderr);
            return Err(nowhere(&format!(
                "git finds no repository in `{}`: {why}",
                folder.display()
            )));
        }
        let top = PathBuf::from(line(&asked.stdout));
        let prefix = real
            .strip_prefix(&top)
            .map_err(|_| nowhere(&format!("`{}` is in no git repository", folder.display())))?;
        Ok(Self {
            prefix: prefix.to_string_lossy().into_owned(),
            folder: folder.to_string_lossy().trim_end_matches('/').to_owned(),
            top,
        })
    }

    fn commit(&self, reference: &str) -> Result<String, Failure> {
        let name = format!("{reference}^{{commit}}");
        let asked = self.ask(&[
            "rev-parse",
            "--verify",
            "--quiet",
            "--end-of-options",
            &name,
        ]);
        match asked {
            Ok(bytes) => Ok(line(&bytes)),
            Err(_) => Err(Failure::new(
                Exit::Usage,
                format!("`{reference}` is neither a folder nor a commit, branch or tag of this repository"),
            )
            .with_hint("in CI, fetch it first: a shallow clone has one commit only")),
        }
    }

    /// Lists the files of the folder at a commit; links and submodules are left out.
    fn files(&self, commit: &str) -> Result<Vec<File>, Failure> {
        let listed = match self.prefix.as_str() {
            "" => self.ask(&["ls-tree", "-r", "-z", "-l", commit]),
            prefix => self.ask(&[
                "ls-tree",
                "-r",
                "-z",
                "-l",
                commit,
                "--",
                &format!(":(literal){prefix}/"),
            ]),
        }?;
        let listed = String::from_utf8_lossy(&listed).into_owned();
        // `100644 blob 1a2b…     329\tcontracts/orders.yaml`
        let files: Vec<File> = listed
            .split('\0')
            .filter(|entry| entry.starts_with("100"))
            .filter_map(|entry| {
                let (about, path) = entry.split_once('\t')?;
                Some(File {
                    path: path.to_owned(),
                    bytes: about.rsplit(' ').next()?.parse().ok()?,
                })
            })
            .collect();
        if files.len() > MAX_FILES {
            let message = format!("there are more than {MAX_FILES} files at `{commit}`");
            return Err(Failure::new(Exit::Failed, message));
        }
        Ok(files)
    }

    fn text(&self, commit: &str, file: &File) -> Result<String, Failure> {
        let path = &file.path;
        let failed =
            |what: &str| Failure::new(Exit::Failed, format!("`{path}` at `{commit}` {what}"));
        if file.bytes > MAX_FILE_BYTES {
            return Err(failed("is too large"));
        }
        let bytes = self.ask(&["cat-file", "blob", &format!("{commit}:{path}")])?;
        String::from_utf8(bytes).map_err(|_| failed("is not UTF-8"))
    }

    /// Names a file as the folder's own would be named.
    fn shown(&self, file: &str) -> String {
        let inside = file.strip_prefix(&self.prefix).unwrap_or(file);
        format!("{}/{}", self.folder, inside.trim_start_matches('/'))
    }

    fn ask(&self, arguments: &[&str]) -> Result<Vec<u8>, Failure> {
        let failed =
            |why: String| Failure::new(Exit::Failed, format!("git {}: {why}", arguments[0]));
        let output = run(&self.top, arguments).map_err(|error| failed(error.to_string()))?;
        match output.status.success() {
            true => Ok(output.stdout),
            false => Err(failed(line(&output.stderr))),
        }
    }
}

fn run(folder: &Path, arguments: &[&str]) -> std::io::Result<Output> {
    Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(arguments)
        .output()
}

fn without_dots(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| *part != ".").collect();
    parts.join("/")
}

fn line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.lines().next().unwrap_or_default().to_owned()
}
